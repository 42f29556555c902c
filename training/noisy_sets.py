"""Held-out recordings with noise, as emissions of the demo model: what a decoder is tuned and measured on.

Two sets with their own seeds: ``dev`` for choosing parameters, ``test`` for the figures that are reported.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from medasr_service import engines, settings
from medasr_service.model import checkpoint
from medasr_service.model.digests import sha256
from medasr_service.model.geometry import Emission
from training.demo_model import EVALUATION_SEED, SEED, SHARDS
from training.evaluation import Recording, Texts, speak_short
from training.features import add_noise, plain_texts
from training.voices import VOICES, present

SEEDS = {"dev": 40_000, "test": EVALUATION_SEED}
PER_VOICE = 30
NOISE_DB = (None, 20, 10)


@dataclass(frozen=True)
class Heard:
    """What was said, by which voice, under which noise, and what the demo model makes of it."""

    text: str
    voice: str
    snr_db: int | None
    seconds: float
    emission: Emission


def recordings(name: str) -> list[Recording]:
    """Quiet recordings of the set, the same number from each trained voice."""
    seed = SEEDS[name]
    voices, missing = present(VOICES)
    for voice in missing:
        print(f"voice {voice.name} is missing ({voice.package}); going on without it", flush=True)
    texts, rng = Texts(seed, plain_texts(SEED, SHARDS)), Random(seed)
    return [one for voice in voices for one in speak_short(voice, PER_VOICE, texts, rng)]


def build(name: str, folder: Path) -> list[Heard]:
    """The set's emissions, kept in ``folder`` from one run to the next, for one checkpoint."""
    of = sha256(checkpoint.resolve(settings.load()).folder / "model.safetensors")[:12]
    file, index = folder / f"{name}-{of}.npz", folder / f"{name}-{of}.jsonl"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        heard = list(_hear(name))
        np.savez_compressed(file, *(one.emission.astype(np.float16) for one in heard))
        lines = ({"text": h.text, "voice": h.voice, "snr_db": h.snr_db, "seconds": h.seconds} for h in heard)
        index.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with np.load(file) as arrays:
        emissions = [arrays[f"arr_{i}"].astype(np.float32) for i in range(len(arrays.files))]
    return [
        Heard(**json.loads(line), emission=emission)
        for line, emission in zip(index.read_text().splitlines(), emissions, strict=True)
    ]


def _hear(name: str) -> Iterator[Heard]:
    config = settings.load()
    engine = engines.load(checkpoint.resolve(config), config)
    rng = Random(f"{SEEDS[name]}/noise")
    for one in recordings(name):
        for snr_db in NOISE_DB:
            waveform = one.waveform
            if snr_db is not None:
                waveform = add_noise(waveform, snr_db, rng, coloured=False)
            [emission] = engine.infer([waveform])
            yield Heard(one.text, one.voice, snr_db, one.seconds, emission)
