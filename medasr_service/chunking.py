"""Long audio: split into overlapping windows, stitch their posteriors. An inverse pair.

``chunk_length_s`` and ``stride_length_s`` mean what they mean in the transformers pipeline: windows of
``chunk``, each sharing ``stride`` on both sides with its neighbours, so that a window starts every
``chunk - 2 * stride``. The pipeline throws the strides away; here the POSTERIORS of overlapping windows are
averaged with a bell-shaped weight, as in the paper of the model (arXiv:2605.16555), and the CTC collapse
happens once, over the whole. Windows start on frame boundaries, so that frames of neighbours coincide.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medasr_service.geometry import Emission, FrameGeometry, Waveform


@dataclass(frozen=True, slots=True)
class Chunk:
    """A window of the audio; ``start_frame`` counts frames from the start of the audio."""

    start_frame: int
    waveform: Waveform
    is_last: bool


def split(
    blocks: Iterable[Waveform], geometry: FrameGeometry, *, chunk_s: float, stride_s: float
) -> Iterator[Chunk]:
    """Windows over a stream of blocks of any length; holds one window and one block at a time.

    A recording that fits into one window gives exactly one chunk, unpadded. Audio without samples gives none.
    """
    frame = geometry.frame_samples
    length = round(chunk_s * geometry.sample_rate / frame) * frame
    stride = round(stride_s * geometry.sample_rate / frame) * frame
    step = length - 2 * stride
    if length < geometry.receptive_samples or step < frame:
        raise ValueError(f"windows of {chunk_s} s with strides of {stride_s} s do not advance")
    held = np.empty(0, np.float32)
    start_frame = 0
    for block in blocks:
        held = np.concatenate((held, block)) if held.size else block
        while held.size > length:  # more than a window: this one is not the last
            yield Chunk(start_frame, held[:length], is_last=False)
            held = held[step:]
            start_frame += step // frame
    if held.size:
        yield Chunk(start_frame, held, is_last=True)


def bell(frames: int) -> NDArray[np.float64]:
    """Hann weights that are nowhere zero, shape [frames, 1]."""
    return np.sin(np.pi * (np.arange(frames) + 0.5) / frames)[:, None] ** 2


@dataclass
class _Window:
    start_frame: int
    emission: Emission
    weight: NDArray[np.float64]  # shape [frames, 1]


class Stitcher:
    """Averages the posteriors of overlapping windows, frame by frame, and hands out what is final.

    A frame is final when no later window can cover it. Frames that a single window covers come out exactly
    as they went in.
    """

    def __init__(self) -> None:
        self._windows: list[_Window] = []  # those with frames that are not yet handed out
        self._next_frame = 0

    def add(self, chunk: Chunk, emission: Emission, next_start_frame: int | None) -> Emission:
        """Takes the next window, in order; ``next_start_frame`` is that of the one after, None at the end.

        Returns the frames before ``next_start_frame``: shape [frames, vocabulary], natural logarithms.
        """
        self._windows.append(_Window(chunk.start_frame, emission, bell(len(emission))))
        end = max(window.start_frame + len(window.emission) for window in self._windows)
        until = end if next_start_frame is None else min(end, next_start_frame)
        final = self._average(self._next_frame, until, emission.shape[1])
        self._next_frame = until
        self._windows = [w for w in self._windows if w.start_frame + len(w.emission) > until]
        return final

    def _average(self, start: int, end: int, vocabulary: int) -> Emission:
        """Frames ``start`` to ``end``, each the weighted mean of the windows that cover it."""
        covering = np.zeros(end - start, np.int64)
        total = np.zeros((end - start, 1))
        mean = np.zeros((end - start, vocabulary))
        single = np.zeros((end - start, vocabulary), np.float32)
        for window in self._windows:
            first = max(start, window.start_frame)
            last = min(end, window.start_frame + len(window.emission))
            rows, source = (
                slice(first - start, last - start),
                slice(first - window.start_frame, last - window.start_frame),
            )
            covering[rows] += 1
            total[rows] += window.weight[source]
            mean[rows] += window.weight[source] * np.exp(window.emission[source], dtype=np.float64)
            single[rows] = window.emission[source]
        shared = covering > 1
        single[shared] = np.log(np.maximum(mean[shared] / total[shared], np.finfo(np.float32).tiny))
        return single
