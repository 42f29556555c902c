"""Where words begin and end, from the sound between them.

CTC says that a word was heard and roughly when: its pieces come as peaks somewhere inside the word, often a
fifth of a second from its ends. The ends are looked for in the sound between the peaks of neighbours: a word
lasts until the first pause after it, and begins at the end of the last pause before it; without a pause, two
words meet at the quietest point. A word is only ever lengthened, so that words keep their order.

The constants were chosen on words that six synthetic voices spoke one by one, quiet and in noise, and checked
on connected speech: ``python -m training.word_times`` prints the errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medasr_service.model.geometry import Waveform
from medasr_service.text.transcript import Word

PAUSE_S = 0.1  # the closure of a stop consonant is shorter
BEFORE_S, AFTER_S = (
    0.6,
    0.5,
)  # the most that a word begins before its first peak, and lasts after its last one
UNHEARD_S = 0.12  # the same where loudness does not tell
NEAR_S = 0.2  # around a gap: what is loud here
HELD_S = BEFORE_S + AFTER_S + 2 * NEAR_S  # of sound before a word that must still be known
LOUD, QUIET = 95, 5  # percentiles of the levels around a gap
PAUSE_LEVEL = 0.2  # of the way from quiet to loud, in dB
DEEPEST_DB = 40.0  # below loud; anything quieter is a pause, also in a silent room
LEAST_CONTRAST_DB = 6.0  # between quiet and loud
SILENCE = 1e-10  # mean square; -100 dB
SMOOTHING = 3  # values


@dataclass(frozen=True)
class Levels:
    """Loudness of a stretch of sound in dB, a value for each ``step_s``, the first one at ``start_s``."""

    start_s: float
    step_s: float
    values: NDArray[np.float32]

    @classmethod
    def of(cls, waveform: Waveform, *, start_s: float, step_samples: int, sample_rate: int) -> "Levels":
        """Of whole steps; what is left at the end has no value."""
        steps = len(waveform) // step_samples
        squares = waveform[: steps * step_samples].reshape(steps, step_samples) ** 2
        values = 10 * np.log10(squares.mean(axis=1) + SILENCE)
        return cls(start_s, step_samples / sample_rate, values.astype(np.float32))

    def then(self, later: "Levels") -> "Levels":
        """This stretch and the one that follows it."""
        return replace(self, values=np.concatenate((self.values, later.values)))

    def since(self, start_s: float) -> "Levels":
        """Without what is before."""
        dropped = max(0, int((start_s - self.start_s) / self.step_s))
        return replace(
            self, start_s=self.start_s + dropped * self.step_s, values=self.values[dropped:].copy()
        )

    def between(self, start_s: float, end_s: float) -> "Levels":
        """The part of it that is known."""
        first, last = (round((at - self.start_s) / self.step_s) for at in (start_s, end_s))
        first = min(max(0, first), len(self.values))
        return replace(
            self,
            start_s=self.start_s + first * self.step_s,
            values=self.values[first : max(first, last)],
        )


def refine(words: Sequence[Word], levels: Levels, *, before: Word | None, after: Word | None) -> list[Word]:
    """The words with their ends where they sound; ``before`` and ``after``: their neighbours, if any.

    ``start`` and ``end`` of what comes in are those of the peaks. The levels reach from BEFORE_S + AFTER_S
    before the first word to AFTER_S after the last one, as far as there is sound.
    """
    chain = [before, *words, after]
    gaps = [_gap(left, right, levels) for left, right in pairwise(chain)]
    return [
        replace(word, start=min(word.start, starts), end=max(word.end, ends))
        for word, (_, starts), (ends, _) in zip(words, gaps[:-1], gaps[1:], strict=True)
    ]


def silence_s(left: Word, right: Word, levels: Levels) -> float:
    """How long nothing sounds between two neighbours: less than lies between their peaks."""
    ends, starts = _gap(left, right, levels)
    return max(0.0, starts - ends)


def _gap(left: Word | None, right: Word | None, levels: Levels) -> tuple[float, float]:
    """Where the word on the left ends, and where the one on the right begins."""
    if left and right and right.start - left.end <= BEFORE_S + AFTER_S:
        pauses, quietest = _pauses(levels, left.end, right.start)
        if not pauses:
            return quietest, quietest
        return min(pauses[0][0], left.end + AFTER_S), max(pauses[-1][1], right.start - BEFORE_S)
    ends = starts = 0.0
    if left:
        pauses, _ = _pauses(levels, left.end, left.end + AFTER_S)
        known = levels.start_s + len(levels.values) * levels.step_s  # the recording may end before
        ends = pauses[0][0] if pauses else min(left.end + UNHEARD_S, known)
    if right:
        pauses, _ = _pauses(levels, right.start - BEFORE_S, right.start)
        starts = pauses[-1][1] if pauses else max(right.start - UNHEARD_S, 0.0)
    return ends, starts


def _pauses(levels: Levels, start_s: float, end_s: float) -> tuple[list[tuple[float, float]], float]:
    """The pauses between two times, and the quietest moment."""
    gap = levels.between(start_s, end_s)
    if not len(gap.values):
        return [], start_s
    near = _smooth(levels.between(start_s - NEAR_S, end_s + NEAR_S).values)
    values = _smooth(gap.values)
    loud, quiet = np.percentile(near, [LOUD, QUIET])
    quietest = gap.start_s + (int(np.argmin(values)) + 0.5) * gap.step_s
    quietest = min(max(quietest, start_s), end_s)
    if loud - quiet < LEAST_CONTRAST_DB:
        return [], quietest
    below = values < max(quiet + PAUSE_LEVEL * (loud - quiet), loud - DEEPEST_DB)
    edges = np.flatnonzero(np.diff(below, prepend=False, append=False)).tolist()
    runs = zip(edges[::2], edges[1::2], strict=True)
    times = [(gap.start_s + a * gap.step_s, gap.start_s + b * gap.step_s) for a, b in runs]
    return [(a, b) for a, b in times if b - a >= PAUSE_S - gap.step_s / 2], quietest


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float64]:
    padded = np.pad(values.astype(np.float64), SMOOTHING // 2, mode="edge")
    return np.convolve(padded, np.ones(SMOOTHING) / SMOOTHING, "valid")
