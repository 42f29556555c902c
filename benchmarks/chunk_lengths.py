"""What cutting into windows does to the text: chunk lengths from 5 to 30 s against one single forward.

    python -m benchmarks.chunk_lengths

Recordings of 21 to 28 s, short enough for one forward, are joined from the bundled clips with pauses of 0 to
0.5 s, so that windows cut in the middle of words. Each is read in one forward and in windows, and the texts
are compared with each other and with what was spoken. Uses the model of MEDASR_MODEL; seeded.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import jiwer
import numpy as np

from benchmarks.speech import clips
from benchmarks.windows import loaded, stitched
from medasr_service.decoding import ctc
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.windows import chunking

WINDOWS = (
    (5, 1),
    (8, 1),
    (10, 1),
    (10, 2),
    (15, 2),
    (20, 1),
    (20, 2),
    (25, 2),
    (30, 2),
)  # chunk, stride in s
PAUSE_S = 0.5


def recordings(count: int, rng: np.random.Generator) -> Iterator[tuple[Waveform, str]]:
    """Joined clips with the text as spoken."""
    spoken = list(clips())
    for _ in range(count):
        length = int(rng.uniform(21, 24) * 16_000)
        waveforms: list[Waveform] = []
        texts: list[str] = []
        while sum(map(len, waveforms)) < length:
            waveform, text = spoken[rng.integers(len(spoken))]
            pause = np.zeros(int(rng.uniform(0, PAUSE_S) * 16_000), np.float32)
            waveforms += [waveform, pause]
            texts.append(text)
        yield np.concatenate(waveforms), " ".join(texts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=40)
    count = parser.parse_args().recordings
    found, engine, vocabulary = loaded()
    geometry = found.geometry

    def text(emission: Emission) -> str:
        return " ".join(word.text for word in ctc.words(ctc.greedy(emission, vocabulary), geometry))

    pairs = list(recordings(count, np.random.default_rng(1)))
    texts_spoken = [text_ for _, text_ in pairs]
    single = [text(engine.infer([waveform])[0]) for waveform, _ in pairs]
    print(f"{count} recordings, {sum(len(w) for w, _ in pairs) / 16_000 / 60:.1f} min, {found.id}\n")
    print("| windows | same text as one forward | WER against one forward | WER against the spoken text |")
    print("|---|---|---|---|")
    print(f"| one forward | | | {100 * jiwer.wer(texts_spoken, single):.2f} % |")
    for chunk_s, stride_s in WINDOWS:
        splitter = partial(chunking.Splitter, geometry, chunk_s=chunk_s, stride_s=stride_s)
        cut = [chunking.split([waveform], splitter()) for waveform, _ in pairs]
        texts = [text(stitched(engine, chunks, geometry, vocabulary.blank)[0]) for chunks in cut]
        same = sum(a == b for a, b in zip(texts, single, strict=True))
        print(
            f"| {chunk_s} s / {stride_s} s | {same} of {count} | {100 * jiwer.wer(single, texts):.2f} % "
            f"| {100 * jiwer.wer(texts_spoken, texts):.2f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
