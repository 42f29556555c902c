"""What the benchmarks hear: the bundled clips, alone and joined to dictation of any length."""

import io
import json
from collections.abc import Iterator

import numpy as np
import soundfile

from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Waveform

RATE = 16_000
NOISE = 3e-4  # of full scale, in the pauses
PAUSE_S = (1.0, 6.0)


def clips() -> Iterator[tuple[Waveform, str]]:
    """The bundled clips with the text as spoken."""
    for line in (DEMO_FOLDER / "clips" / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield soundfile.read(DEMO_FOLDER / "clips" / row["audio"], dtype="float32")[0], row["text"]


def flac(waveform: Waveform) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def dictation(seconds: float, pauses: float, rng: np.random.Generator) -> Waveform:
    """Bundled clips one after the other, with pauses that take this share of the time."""
    spoken = [waveform for waveform, _ in clips()]
    parts: list[Waveform] = []
    silent = sound = 0.0
    while silent + sound < seconds * RATE:
        parts.append(spoken[rng.integers(len(spoken))])
        sound += len(parts[-1])
        while silent < pauses * (silent + sound):
            parts.append(rng.normal(0, NOISE, int(rng.uniform(*PAUSE_S) * RATE)).astype(np.float32))
            silent += len(parts[-1])
    return np.concatenate(parts)[: int(seconds * RATE)]
