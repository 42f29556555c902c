"""Long sound to windows, and what was heard in them back to one."""
