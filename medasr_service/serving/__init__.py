"""The process: the BentoML services, admission, leaving in order."""
