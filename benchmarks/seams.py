"""What context a cut needs: words that go wrong near one, by the length of its pause and the context there.

    python -m benchmarks.seams

The recordings without pauses of benchmarks.windows, cut every 9 to 16 s in a pause of a random kind; each
with the same context on both sides of all cuts, from 2 s down. Says, too, at how many cuts the two windows
hear the same pieces in all that they share: what a second look only where they disagree would have to go by.
Uses the model of MEDASR_MODEL; seeded.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import jiwer
import numpy as np

from benchmarks.windows import RATE, joined, loaded, options, recording
from medasr_service.decoding import ctc
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.text.transcript import Word
from medasr_service.windows import pauses
from medasr_service.windows.chunking import Chunk

STRIDES_S = (2.0, 1.0, 0.48, 0.28)
WINDOW_S = (9.0, 16.0)
LENGTHS_S = (0.04, 0.2, 0.4, 0.56, 0.8, np.inf)  # the kinds of pauses, from one to the next
NEAR_S = 2.0
LEVEL = pauses.LONG_PAUSE_LEVEL


def cuts(waveform: Waveform, frame: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """The frames to cut at, in the middle of pauses, and the kind of each."""
    frame_s = frame / RATE
    levels = pauses.peaks(waveform, frame)
    quiet = pauses.runs(levels < LEVEL * pauses.loud_around(levels, frame_s))
    found: list[tuple[int, int]] = []
    at, (shortest, longest) = 0, (round(s / frame_s) for s in WINDOW_S)
    while at + shortest + longest < len(levels):
        kinds = defaultdict(list)
        for run in quiet:
            middle, seconds = (run.start + run.stop) // 2, (run.stop - run.start) * frame_s
            if at + shortest <= middle <= at + longest:
                kinds[int(np.searchsorted(LENGTHS_S, seconds + 1e-6)) - 1].append(middle)
        at += shortest
        if kinds:
            kind = list(kinds)[rng.integers(len(kinds))]
            at = kinds[kind][rng.integers(len(kinds[kind]))]
            found.append((at, kind))
    return found


def wrong_at(text: str, heard: Sequence[Word]) -> list[float]:
    """The times of the words that are lost, wrong or invented."""
    times = [0.0, *(word.start for word in heard)]
    aligned = jiwer.process_words(text, " ".join(word.text for word in heard)).alignments[0]
    found = []
    for part in aligned:
        if part.type == "delete":
            found += [times[part.hyp_start_idx]] * (part.ref_end_idx - part.ref_start_idx)
        elif part.type != "equal":
            found += times[part.hyp_start_idx + 1 : part.hyp_end_idx + 1]
    return found


def pieces(emission: Emission, blank: int) -> list[int]:
    best = emission.argmax(axis=1)
    return [int(b) for a, b in pairwise([blank, *best]) if b not in (a, blank)]


def main() -> None:
    asked = options(__doc__)
    found, engine, vocabulary = loaded()
    geometry = found.geometry
    blank, frame = vocabulary.blank, geometry.frame_samples
    shape = (len(LENGTHS_S) - 1, len(STRIDES_S))
    seams = np.zeros(shape[0], int)
    wrong, agree = np.zeros(shape, int), np.zeros(shape, int)
    rng = np.random.default_rng(7)
    for _ in range(asked.recordings):
        waveform, text = recording(asked.seconds, (0.0, 0.0), rng)
        where = cuts(waveform, frame, rng)
        np.add.at(seams, [kind for _, kind in where], 1)
        for column, stride_s in enumerate(STRIDES_S):
            stride = round(stride_s / geometry.frame_s)
            starts, ends = [0, *(at - stride for at, _ in where)], [*(at + stride for at, _ in where), None]
            chunks = [
                Chunk(start, waveform[start * frame : end and end * frame], is_last=end is None)
                for start, end in zip(starts, ends, strict=True)
            ]
            emissions = [engine.infer([chunk.waveform])[0] for chunk in chunks]
            for i, ((before, after), (_, kind)) in enumerate(zip(pairwise(emissions), where, strict=True)):
                begins = starts[i + 1] - starts[i]
                same = pieces(before[begins:], blank) == pieces(after[: len(before) - begins], blank)
                agree[kind, column] += same
            rows = joined(chunks, emissions, blank)
            heard = ctc.words(ctc.greedy(rows, vocabulary), geometry)
            for at_s in wrong_at(text, heard):
                distances = [abs(at * geometry.frame_s - at_s) for at, _ in where]
                nearest = int(np.argmin(distances))
                wrong[where[nearest][1], column] += distances[nearest] <= NEAR_S
    print(f"{found.id}, {seams.sum()} cuts, {asked.recordings * asked.seconds / 60:.0f} min\n")
    print("| pause | cuts |", " | ".join(f"{stride_s:g} s" for stride_s in STRIDES_S), "|")
    print("|---|---|" + "---|" * len(STRIDES_S))
    for kind, count in enumerate(seams):
        cells = [f"{w}, {a}" for w, a in zip(wrong[kind], agree[kind], strict=True)]
        print(f"| from {LENGTHS_S[kind]:g} s | {count} |", " | ".join(cells), "|")
    print(f"\nwords lost, wrong or invented within {NEAR_S:g} s; cuts where both windows hear the same")


if __name__ == "__main__":
    main()
