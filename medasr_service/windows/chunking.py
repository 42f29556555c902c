"""Long audio: split into overlapping windows, stitch their posteriors. An inverse pair.

``chunk_length_s`` and ``stride_length_s`` mean what they mean in the transformers pipeline: windows of
``chunk``, each sharing ``stride`` on both sides with its neighbours, so that a window starts every
``chunk - 2 * stride``. The pipeline throws the strides away; here the POSTERIORS of overlapping windows are
averaged with a bell-shaped weight, as in the paper of the model (arXiv:2605.16555), and the CTC collapse
happens once, over the whole. Other than there, the two bells cross where both windows hear nothing, see
``seam``. Windows start on frame boundaries, so that the frames of neighbours coincide.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medasr_service.model.geometry import Emission, FrameGeometry, Waveform

SURE = 0.9  # posterior of the blank in both windows
STEEPNESS = 2.0  # per frame: away from the seam one window decides, or unsure pieces would be averaged away


@dataclass(frozen=True, slots=True)
class Chunk:
    """A window of the audio; ``start_frame`` counts frames from the start of the audio. ``skipped`` are the
    frames of the window, in frames from its own start, that the network need not hear (see pauses)."""

    start_frame: int
    waveform: Waveform
    is_last: bool
    skipped: tuple[slice, ...] = ()


class Splits(Protocol):
    """Cuts a stream of blocks of any length into windows: here one after another, in pauses.py at pauses."""

    def push(self, block: Waveform) -> Iterator[Chunk]: ...

    def finish(self) -> Iterator[Chunk]: ...


class Splitter:
    """Windows over a stream of blocks of any length; holds one window and one block at a time.

    A recording that fits into one window gives exactly one chunk, unpadded. Audio without samples gives none.
    Strides are at least ``least_stride``, or frames at the cuts would be in no window.
    """

    def __init__(self, geometry: FrameGeometry, *, chunk_s: float, stride_s: float) -> None:
        self._frame = frame = geometry.frame_samples
        self._length = round(chunk_s * geometry.sample_rate / frame) * frame
        stride = max(round(stride_s * geometry.sample_rate / frame) * frame, least_stride(geometry))
        self._step = self._length - 2 * stride
        if self._length < geometry.receptive_samples or self._step < frame:
            raise ValueError(f"windows of {chunk_s} s with strides of {stride_s} s do not advance")
        self._held = np.empty(0, np.float32)
        self._start_frame = 0

    def push(self, block: Waveform) -> Iterator[Chunk]:
        self._held = np.concatenate((self._held, block)) if self._held.size else block
        while self._held.size > self._length:  # more than a window: this one is not the last
            yield Chunk(self._start_frame, self._held[: self._length], is_last=False)
            self._held = self._held[self._step :]
            self._start_frame += self._step // self._frame

    def finish(self) -> Iterator[Chunk]:
        if self._held.size:
            yield Chunk(self._start_frame, self._held, is_last=True)


def split(blocks: Iterable[Waveform], splitter: Splits) -> Iterator[Chunk]:
    """The windows of all blocks."""
    for block in blocks:
        yield from splitter.push(block)
    yield from splitter.finish()


def least_stride(geometry: FrameGeometry) -> int:
    """Samples, in whole frames: a frame sees more audio than it stands for, so windows must share some."""
    shared = geometry.receptive_samples - geometry.frame_samples
    return -(-shared // (2 * geometry.frame_samples)) * geometry.frame_samples


def seam(before: Emission, after: Emission, blank: int) -> int:
    """The frame of an overlap at which the one window takes over from the other.

    Two windows hear a piece a frame or two apart, so a change in the middle of a word can lose or double it.
    The change falls where both are sure of the blank for three frames, as near to the middle as there is one,
    never in the outer quarters, where a window lacks context. Where speech has no gap: at the best there is.
    """
    frames = len(before)
    quiet = np.exp(np.minimum(before[:, blank], after[:, blank]))
    quiet = np.minimum(np.minimum(quiet, np.append(quiet[1:], quiet[-1])), np.append(quiet[0], quiet[:-1]))
    inner = np.arange(frames // 4, max(frames // 4 + 1, frames - frames // 4))
    from_middle = np.abs(inner - frames / 2)
    return int(inner[np.lexsort((from_middle, -np.minimum(quiet[inner], SURE)))[0]])


def crossfade(frames: int, at: int) -> NDArray[np.float64]:
    """The weight of the later window over an overlap, shape [frames, 1]: over a half from frame ``at`` on."""
    weights: NDArray[np.float64] = 1 / (1 + np.exp(-(np.arange(frames) - at + 0.5)[:, None] * STEEPNESS))
    return weights


class Stitcher:
    """Averages the posteriors of overlapping windows, frame by frame, and hands out what is final.

    A frame is final when no later window can cover it. Frames that a single window covers come out exactly
    as they went in.
    """

    def __init__(self, *, blank: int) -> None:
        self._blank = blank
        self._start_frame = 0  # of the first row held
        self._held: Emission | None = None

    def add(self, chunk: Chunk, emission: Emission, next_start_frame: int | None) -> Emission:
        """Takes the next window, in order; ``next_start_frame`` is that of the one after, None at the end.

        Returns the frames before ``next_start_frame``: shape [frames, vocabulary], natural logarithms.
        """
        self._held = emission if self._held is None else self._join(self._held, chunk, emission)
        end = self._start_frame + len(self._held)
        until = end if next_start_frame is None else min(end, next_start_frame)
        final, self._held = np.split(self._held, [until - self._start_frame])
        self._start_frame = until
        return final

    def _join(self, held: Emission, chunk: Chunk, emission: Emission) -> Emission:
        at = chunk.start_frame - self._start_frame
        shared = min(len(held) - at, len(emission))
        before, after = held[at : at + shared], emission[:shared]
        if shared <= 0:
            return np.concatenate((held, emission))
        weight = crossfade(shared, seam(before, after, self._blank))
        mean = (1 - weight) * np.exp(before, dtype=np.float64) + weight * np.exp(after, dtype=np.float64)
        joined = np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
        return np.concatenate((held[:at], joined, held[at + shared :], emission[shared:]))
