"""MedASR behind an OpenAI-compatible API."""

import os

# Before numpy: its threads would spin beside the engine's long after the front end has used them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Before ONNX Runtime and the hub's library: their telemetry is on where nobody says otherwise, and theirs can
# only be said before they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
