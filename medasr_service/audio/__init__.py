"""Bytes to mono float32 at 16 kHz, in a stream."""
