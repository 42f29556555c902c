"""MedASR behind an OpenAI-compatible API."""
