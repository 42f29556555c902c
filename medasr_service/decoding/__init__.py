"""Posteriors to tokens and words."""
