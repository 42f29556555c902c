"""MedASR behind an OpenAI-compatible API."""

import os

# Before numpy: its threads would spin beside the engine's long after the front end has used them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
