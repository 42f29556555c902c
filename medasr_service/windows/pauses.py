"""Windows that are cut at pauses, and do not compute silence: the same text for less work than fixed windows.

A fixed window shares seconds with its neighbours, because a cut may fall into a word; all that is shared is
computed twice. Here a window ends at the quietest point of its last seconds, and shares little where that is
a pause; or in a long pause somewhat before, where that is less to compute: there windows share the pause and
no speech, so that each begins and ends in silence, as a recording does. Silence longer than SILENCE_S is
taken out before the network and put back, as blanks, after it, so that nothing downstream knows of it. Where
the file itself has a gap in its times, nothing of that silence is heard: the sound on both sides is one, of a
recorder that was paused, or a word that lost a packet.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.windows.chunking import Chunk, least_stride

SEARCH_S = 5.0  # the cut is in these last seconds of a window
PAUSE_S = 0.2  # what must be quiet around a cut
PAUSE_LEVEL = 0.1  # of the loud parts around: quieter is a pause
AROUND_S = 2.0  # on both sides: who speaks softly beside a loud voice does not pause
PAUSE_STRIDE_S = 1.0  # context on each side of a cut in a pause: with half of it the model stutters there
LONG_SEARCH_S = 10.0  # or the cut is in a long pause of these last seconds; of half the window at most
LONG_PAUSE_LEVEL = 0.03  # -30 dB: below, nothing is said
LONG_PAUSE_S = 0.56
LONG_PAUSE_STRIDE_S = LONG_PAUSE_S / 2  # all that two windows share is the pause
SILENCE_LEVEL = 10 ** (-50 / 20)  # of the loud parts so far: no speech is so much quieter for so long
LOUD_S = 1.0  # as loud as the loud parts, in all: clicks and knocks, which say nothing of speech, are shorter
SILENCE_S = 1.0
KEPT_S = 0.4  # of a silence, on both sides: more than a frame sees
NEVER = float(np.log(np.finfo(np.float32).tiny))
MAX_SPAN = 3  # a window with its silences, in windows


class Splitter:
    """Windows of at most ``chunk_s`` of sound; ``stride_s`` is the context where there is no pause.

    ``gaps`` in the times of the file are silence; start and end of each in seconds. Holds ``MAX_SPAN``
    windows and one block. A recording that fits into one window gives one chunk. Audio without samples gives
    none.
    """

    def __init__(
        self,
        geometry: FrameGeometry,
        *,
        chunk_s: float,
        stride_s: float,
        gaps: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._frame, self._frame_s = geometry.frame_samples, geometry.frame_s
        self._length, shortest = round(chunk_s / self._frame_s), least_stride(geometry) // self._frame
        wanted = [min(s, stride_s) for s in (LONG_PAUSE_STRIDE_S, PAUSE_STRIDE_S, stride_s)]
        self._strides = [max(shortest, round(s / self._frame_s)) for s in wanted]
        advances = self._length - 2 * max(self._strides) >= 1
        if not advances or self._length * self._frame < geometry.receptive_samples:
            raise ValueError(f"windows of {chunk_s} s with strides of {stride_s} s do not advance")
        self._held, self._start_frame, self._loud = np.empty(0, np.float32), 0, 0.0
        self._gaps = [(math.ceil(start / self._frame_s), int(end / self._frame_s)) for start, end in gaps]

    def push(self, block: Waveform) -> Iterator[Chunk]:
        frame, frame_s = self._frame, self._frame_s
        self._held = np.concatenate((self._held, block)) if self._held.size else block
        while True:
            levels = peaks(self._held, frame)
            self._loud = max(self._loud, _loud(levels, frame_s))
            silent = levels <= SILENCE_LEVEL * self._loud
            end = _end(self._skipped(silent), self._length)
            if end is None or self._held.size <= end * frame:
                return
            cut, stride = _cut(levels[:end], frame_s, self._strides)
            until = cut + stride
            skipped = runs(self._skipped(silent[:until]))
            yield Chunk(self._start_frame, self._held[: until * frame], is_last=False, skipped=skipped)
            self._held = self._held[(cut - stride) * frame :]
            self._start_frame += cut - stride

    def finish(self) -> Iterator[Chunk]:
        if self._held.size:
            silent = peaks(self._held, self._frame) <= SILENCE_LEVEL * self._loud
            skipped = runs(self._skipped(silent))
            yield Chunk(self._start_frame, self._held, is_last=True, skipped=skipped)

    def _skipped(self, silent: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of each frame, whether it is taken out: in the inner part of a long silence, or in a gap."""
        kept, least = round(KEPT_S / self._frame_s), round(SILENCE_S / self._frame_s)
        skipped = np.zeros(len(silent), bool)
        for run in runs(silent):
            if run.stop - run.start >= least:
                skipped[run.start + kept : run.stop - kept] = True
        for start, end in self._gaps:
            skipped[max(0, start - self._start_frame) : max(0, end - self._start_frame)] = True
        if len(skipped) and skipped.all():  # the network needs something to hear
            skipped[: 2 * kept] = False
        return skipped


def heard(chunk: Chunk, geometry: FrameGeometry) -> Waveform:
    """The window without what is skipped of it: what the network is given."""
    keep = np.ones(len(chunk.waveform), bool)
    for each in chunk.skipped:
        keep[each.start * geometry.frame_samples : each.stop * geometry.frame_samples] = False
    return chunk.waveform[keep] if chunk.skipped else chunk.waveform


def restore(emission: Emission, chunk: Chunk, blank: int) -> Emission:
    """The emission of the whole window, from that of what was heard; what was skipped is surely blank."""
    emission = _once(emission, chunk, blank)
    parts = []
    at = before = 0  # row of the emission; frames skipped before it
    for each in chunk.skipped:
        until = each.start - before
        silence = np.full((each.stop - each.start, emission.shape[1]), NEVER, np.float32)
        silence[:, blank] = 0.0
        parts += [emission[at:until], silence]
        at, before = until, before + len(silence)
    return np.concatenate((*parts, emission[at:])) if parts else emission


def _once(emission: Emission, chunk: Chunk, blank: int) -> Emission:
    """With a piece that goes on behind what was skipped heard before it only: with blanks between, it would
    be two."""
    best = emission.argmax(axis=1)
    found, skipped = emission, 0
    for each in chunk.skipped:
        until, skipped = each.start - skipped, skipped + each.stop - each.start
        if not 0 < until < len(best) or best[until - 1] == blank or best[until] != best[until - 1]:
            continue
        others = np.flatnonzero(best[until:] != best[until])
        rows = slice(until, until + int(others[0]) if len(others) else len(best))
        found = found.copy() if found is emission else found
        found[rows] = NEVER
        found[rows, blank] = 0.0
    return found


def peaks(waveform: Waveform, frame: int) -> NDArray[np.float32]:
    """The peak of each whole frame's length of samples."""
    whole = len(waveform) // frame
    found: NDArray[np.float32] = np.abs(waveform[: whole * frame]).reshape(whole, frame).max(axis=1)
    return found


def _loud(levels: NDArray[np.float32], frame_s: float) -> float:
    """What is reached for LOUD_S in all; 0 where there is less sound."""
    count = round(LOUD_S / frame_s)
    return float(np.partition(levels, -count)[-count]) if len(levels) >= count else 0.0


def runs(chosen: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Where frames are chosen, one after another."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False])).astype(np.int8)))
    return tuple(slice(int(a), int(b)) for a, b in edges.reshape(-1, 2))


def _end(skipped: NDArray[np.bool_], length: int) -> int | None:
    """The frame at which ``length`` frames have been heard, or MAX_SPAN times as many have passed."""
    end = min(int(np.searchsorted(np.cumsum(~skipped), length)) + 1, MAX_SPAN * length)
    return end if end <= len(skipped) else None


def _cut(levels: NDArray[np.float32], frame_s: float, strides: Sequence[int]) -> tuple[int, int]:
    """The frame of a window to cut at, and how much context a cut there needs on both sides.

    At the quietest of its last seconds, or in a long pause, wherever the least is computed for each frame by
    which the next window begins later. ``strides``: in a long pause, in another one, where there is none.
    """
    in_long, near, far = strides
    until = len(levels) - far
    cut = _quietest(levels, frame_s, until, far)
    loud = loud_around(levels, frame_s)
    quiet = levels[max(0, cut - round(PAUSE_S / frame_s) // 2) :][: round(PAUSE_S / frame_s) | 1].max()
    found = [(cut, near if quiet < PAUSE_LEVEL * loud[cut] else far)]
    first = max(len(levels) - min(round(LONG_SEARCH_S / frame_s), len(levels) // 2), far + 1)
    found += [(at, in_long) for at in _in_long_pauses(levels, loud, frame_s) if first <= at < until]
    return min(found, key=lambda each: (each[0] + each[1]) / (each[0] - each[1]))


def _quietest(levels: NDArray[np.float32], frame_s: float, until: int, stride: int) -> int:
    """The latest of the quietest frames of the last seconds; a moment around it is as quiet."""
    width = round(PAUSE_S / frame_s) | 1
    around = np.lib.stride_tricks.sliding_window_view(np.pad(levels, width // 2, mode="edge"), width)
    search = max(1, min(round(SEARCH_S / frame_s), until - stride - 1))
    first = max(until - search, stride + 1)
    return until - 1 - int(np.argmin(around.max(axis=1)[first:until][::-1]))


def _in_long_pauses(levels: NDArray[np.float32], loud: NDArray[np.float64], frame_s: float) -> Iterator[int]:
    """The calmest frame of each long pause, as near to its middle as there is one.

    It is quiet beside what is said before it and what is said behind: soft speech beside a loud voice is not.
    """
    width, beside = round(LONG_PAUSE_S / frame_s), round(AROUND_S / frame_s)
    for run in runs(levels < LONG_PAUSE_LEVEL * loud):
        sides = levels[max(0, run.start - beside) : run.start], levels[run.stop :][:beside]
        if run.stop - run.start < width or not all(map(len, sides)):
            continue
        if levels[run].max() < LONG_PAUSE_LEVEL * min(np.percentile(side, 90) for side in sides):
            calm = np.lib.stride_tricks.sliding_window_view(levels[run], width).max(axis=1)
            from_middle = np.abs(np.arange(len(calm)) - (len(calm) - 1) / 2)
            yield run.start + int(np.lexsort((from_middle, calm))[0]) + width // 2


def loud_around(levels: NDArray[np.float32], frame_s: float) -> NDArray[np.float64]:
    """Of each frame, how loud the loud parts around it are."""
    beside = round(AROUND_S / frame_s)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(levels, beside, mode="symmetric"), 2 * beside + 1
    )
    loud: NDArray[np.float64] = np.percentile(around, 90, axis=1)
    return loud
