"""What decoders give, in order of time: sound, silence that the file tells of, and where sound is lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medasr_service.audio import limits
from medasr_service.errors import InvalidAudio, TruncatedAudio

Block: TypeAlias = NDArray[np.float32]
"""Samples as decoded, shape [samples, channels]."""
Sound: TypeAlias = tuple[Block, int]
"""A block with its sample rate."""
Damaged: TypeAlias = Literal["refuse", "skip"]
"""What becomes of a recording of which a part cannot be read."""

MAX_SPANS = 10_000  # of each kind that are told; what comes then is only counted into the last


@dataclass(frozen=True, slots=True)
class Gap:
    """The times of the file go on, and nothing is recorded: a pause of the recorder, or a lost packet."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Flaw:
    """Sound is lost here: so much as the file shows, 0 where it does not show it."""

    seconds: float
    why: str


Piece: TypeAlias = Sound | Gap | Flaw


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the recording, in seconds."""

    start: float
    seconds: float

    @property
    def bounds(self) -> tuple[float, float]:
        return self.start, self.start + self.seconds


class Listener:
    """Pieces to sound alone: a gap is silence of its length, so that times stay those of the file.

    ``gaps`` and ``losses`` tell, at the end, where sound was missing.
    """

    def __init__(self, damaged: Damaged, max_duration_s: float) -> None:
        self.gaps: list[Span] = []
        self.losses: list[Span] = []
        self._damaged = damaged
        self._max_duration_s = max_duration_s
        self._heard = 0  # samples
        self._rate = 0
        self._waiting_s = 0.0  # of silence before the first sound, whose rate is not known yet

    def hear(self, pieces: Iterator[Piece]) -> Iterator[Sound]:
        """Raises TruncatedAudio at the first flaw, unless it is to be skipped."""
        channels = 1
        for piece in pieces:
            if isinstance(piece, Gap | Flaw):
                yield from self._silence(piece, channels)
                continue
            block, rate = piece
            if self._rate and rate != self._rate:
                raise InvalidAudio(
                    f"The sample rate changes in the middle of the recording, at {self._now_s:.1f} s."
                )
            self._rate, channels = rate, block.shape[1]
            if self._waiting_s:
                waiting_s, self._waiting_s = self._waiting_s, 0.0
                yield from self._zeros(waiting_s, channels)
            self._heard += len(block)
            yield block, rate

    @property
    def _now_s(self) -> float:
        return self._heard / self._rate if self._rate else self._waiting_s

    def _silence(self, piece: Gap | Flaw, channels: int) -> Iterator[Sound]:
        if isinstance(piece, Flaw) and self._damaged == "refuse":
            raise damaged_at(self._now_s, piece.why)
        found = self.losses if isinstance(piece, Flaw) else self.gaps
        if self._now_s or isinstance(piece, Flaw):  # sound that only starts late lacks nothing
            _add(found, Span(self._now_s, piece.seconds))
        limits.check_duration(self._now_s + piece.seconds, self._max_duration_s)
        if self._rate:
            yield from self._zeros(piece.seconds, channels)
        else:
            self._waiting_s += piece.seconds

    def _zeros(self, seconds: float, channels: int) -> Iterator[Sound]:
        left = round(seconds * self._rate)
        self._heard += left
        while left > 0:
            size = min(left, limits.BLOCK_VALUES // channels)
            yield np.zeros((size, channels), np.float32), self._rate
            left -= size


def _add(spans: list[Span], span: Span) -> None:
    if len(spans) >= MAX_SPANS:
        last = spans.pop()
        span = Span(last.start, last.seconds + span.seconds)
    spans.append(span)


def damaged_at(at_s: float, why: str) -> TruncatedAudio:
    """``why`` is a clause, such as "the file ends in the middle of a page"."""
    return TruncatedAudio(f"The recording is damaged at {at_s:.1f} s or cut off there: {why}.")
