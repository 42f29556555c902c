"""Words to what a person reads."""
