"""Many recordings, each transcribed exactly once, on one machine or on many: docs/archive.md."""
