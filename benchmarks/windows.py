"""Windows cut at pauses against fixed windows: what is computed, and what becomes of the text.

    python -m benchmarks.windows

Long recordings are joined from the bundled clips, once with pauses as in dictation, faint noise in them, and
once without any. Uses the model of MEDASR_MODEL; seeded.
"""

import argparse
from collections.abc import Iterable, Sequence

import jiwer
import numpy as np

from benchmarks.speech import clips
from medasr_service import engines, settings
from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines import Engine
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.windows import chunking, pauses
from medasr_service.windows.chunking import Chunk

Splitter = type[chunking.Splitter] | type[pauses.Splitter]
RATE = 16_000
NOISE = 3e-4  # of full scale: the room in the pauses of a good microphone, under the threshold of silence
KINDS: Sequence[tuple[str, Splitter, float, float]] = [
    ("fixed 20 s / 2 s", chunking.Splitter, 20, 2),
    ("fixed 20 s / 1 s", chunking.Splitter, 20, 1),
    ("at pauses 20 s / 2 s", pauses.Splitter, 20, 2),
    ("at pauses 20 s / 1 s", pauses.Splitter, 20, 1),
]


def recording(seconds: float, pause_s: tuple[float, float], rng: np.random.Generator) -> tuple[Waveform, str]:
    """Clips in random order, with pauses of a random length between them, and the text as spoken."""
    spoken = list(clips())
    waveforms: list[Waveform] = []
    texts = []
    while sum(map(len, waveforms)) < seconds * RATE:
        waveform, text = spoken[rng.integers(len(spoken))]
        pause = rng.normal(0, NOISE, int(rng.uniform(*pause_s) * RATE)).astype(np.float32)
        waveforms += [waveform, pause]
        texts.append(text)
    return np.concatenate(waveforms), " ".join(texts)


def options(description: str | None) -> argparse.Namespace:
    """How many recordings of how many seconds, of a benchmark that hears such."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=180)
    return parser.parse_args()


def loaded() -> tuple[Checkpoint, Engine, Vocabulary]:
    """The model of the settings."""
    config = settings.load()
    found = checkpoint.resolve(config)
    return found, engines.load(found, config), Vocabulary.load(found.folder)


def joined(chunks: Sequence[Chunk], emissions: Iterable[Emission], blank: int) -> Emission:
    """The stitched emission of windows."""
    stitcher = chunking.Stitcher(blank=blank)
    following = [*(chunk.start_frame for chunk in chunks[1:]), None]
    return np.concatenate([stitcher.add(*each) for each in zip(chunks, emissions, following, strict=True)])


def stitched(
    engine: Engine, chunks: Iterable[Chunk], geometry: FrameGeometry, blank: int
) -> tuple[Emission, float]:
    """The stitched emission, and the seconds that were computed for it."""
    windows = list(chunks)
    heard = [pauses.heard(chunk, geometry) for chunk in windows]
    emissions = (
        pauses.restore(engine.infer([waveform])[0], chunk, blank)
        for chunk, waveform in zip(windows, heard, strict=True)
    )
    return joined(windows, emissions, blank), sum(map(len, heard)) / RATE


def main() -> None:
    asked = options(__doc__)
    found, engine, vocabulary = loaded()
    geometry = found.geometry
    print("| recordings | windows | computed | words lost / wrong / invented | WER |\n|---|---|---|---|---|")
    for name, pause_s in (("with pauses of 0.3 to 3 s", (0.3, 3.0)), ("without pauses", (0.0, 0.0))):
        rng = np.random.default_rng(7)
        pairs = [recording(asked.seconds, pause_s, rng) for _ in range(asked.recordings)]
        total_s = sum(len(waveform) for waveform, _ in pairs) / RATE
        for kind, splitter, chunk_s, stride_s in KINDS:
            texts, computed_s = [], 0.0
            for waveform, _ in pairs:
                chunks = chunking.split([waveform], splitter(geometry, chunk_s=chunk_s, stride_s=stride_s))
                rows, seconds = stitched(engine, chunks, geometry, vocabulary.blank)
                computed_s += seconds
                words = ctc.words(ctc.greedy(rows, vocabulary), geometry)
                texts.append(" ".join(word.text for word in words))
            scored = jiwer.process_words([text for _, text in pairs], texts)
            print(
                f"| {name} | {kind} | {100 * computed_s / total_s:.1f} % of {total_s / 60:.1f} min"
                f" | {scored.deletions} / {scored.substitutions} / {scored.insertions}"
                f" of {sum(len(text.split()) for _, text in pairs)} | {100 * scored.wer:.2f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
