"""Whether this CPU adds 8-bit products exactly: x86 without VNNI does not where one side is signed."""

from pathlib import Path

import numpy as np
import onnxruntime

PROBE = "probe.onnx"
SHAPE = (8, 64, 16)  # rows, summed over, columns
LARGEST, WEIGHT = 255, 127
SUM = LARGEST * WEIGHT * SHAPE[1]


def saturates(folder: Path) -> bool:
    """Runs the probe of an artefact: a product of the largest values."""
    session = onnxruntime.InferenceSession(folder / PROBE, providers=["CPUExecutionProvider"])
    [sums] = session.run(None, {"bytes": np.full(SHAPE[:2], LARGEST, np.uint8)})
    return bool((sums != SUM).any())
