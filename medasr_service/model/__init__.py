"""Which checkpoint is served, where it is, and the geometry of its frames."""
