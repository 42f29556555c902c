"""How loud a recording is, the gain that brings a quiet one up, and the limiter that the gain may need.

A click, a knock or a door says nothing of the level of the speech beside it. So the level is what the sound
reaches for a second in all, and a peak that no speech of that level has does not count. Where the gain would
carry such a peak beyond full scale, a limiter turns it down for that moment.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medasr_service.model.geometry import Waveform

PEAK = 0.95  # what a quiet recording is brought up to
QUIET_PEAK = 0.1  # below this (-20 dBFS) a recording counts as quiet; above, it stays as it is
CREST = 12.0  # peaks of speech are below so many times its level; on the bundled recordings, 7.6
USUAL_CREST = 5.0  # where the peak is none of speech
BLOCK_S = 0.02  # whose level is looked at
REACHED_S, REACHED_SHARE = 1.0, 0.15  # the level is reached for so long in all, or for this share
STEP_DB, LOWEST_DB, STEPS = 0.25, -120.0, 1_024  # of the histogram of levels: up to 136 dB above full scale

CEILING = 0.99  # beyond, the limiter acts; above PEAK, for a resampler may overshoot
HOP = 64  # samples between two gains of the limiter: 4 ms
RELEASE = 10 ** (1 / 20)  # how fast the limiter lets go: 1 dB a hop


@dataclass(frozen=True, slots=True)
class Loudness:
    """``peak`` and ``level`` in full scale; ``level`` is an RMS."""

    peak: float
    level: float

    def gain(self, *, max_gain: float) -> float:
        """The factor that brings quiet speech up to PEAK; 1 for any other, and for digital silence."""
        peak = self.peak if self.peak <= CREST * self.level else USUAL_CREST * self.level
        if not 0 < peak < QUIET_PEAK:
            return 1.0
        return min(PEAK / peak, max_gain)


class Meter:
    """Takes mono blocks of any length at one rate; keeps a histogram, however long the recording is."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._histogram = Histogram()
        self._rest: NDArray[np.float32] = np.empty(0, np.float32)

    def add(self, mono: NDArray[np.float32], rate: int) -> None:
        self._peak = max(self._peak, float(np.abs(mono).max(initial=0.0)))
        size = max(1, round(BLOCK_S * rate))
        mono = np.concatenate((self._rest, mono)) if len(self._rest) else mono
        count = len(mono) // size
        self._rest = mono[count * size :].copy()
        blocks = mono[: count * size].reshape(count, size)
        self._histogram.add(np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1)))

    @property
    def loudness(self) -> Loudness:
        if not self._histogram.total:  # shorter than a block
            return Loudness(self._peak, self._peak)
        reached = min(REACHED_S / BLOCK_S, REACHED_SHARE * self._histogram.total)
        return Loudness(self._peak, self._histogram.reached(max(1.0, reached)))


class Histogram:
    """Of levels, in steps of STEP_DB."""

    def __init__(self) -> None:
        self._counts = np.zeros(STEPS)

    def add(self, levels: NDArray[np.float64]) -> None:
        decibels = 20 * np.log10(np.maximum(levels, 1e-12))
        steps = np.clip(np.ceil((decibels - LOWEST_DB) / STEP_DB), 0, STEPS - 1).astype(np.intp)
        self._counts += np.bincount(steps, minlength=STEPS)

    @property
    def total(self) -> float:
        return float(self._counts.sum())

    def reached(self, count: float) -> float:
        """The level that the ``count`` loudest reach, rounded up to a step; 0 for silence."""
        from_above = np.cumsum(self._counts[::-1])
        step = STEPS - 1 - int(np.searchsorted(from_above, count))
        return 10 ** ((LOWEST_DB + STEP_DB * step) / 20) if step > 0 else 0.0


class Limiter:
    """Keeps samples within CEILING: turns down around what is beyond, and leaves all else as it is.

    The gain falls before the peak and rises behind it, in ramps from hop to hop, so that a loud word keeps
    its shape. It needs to see two hops ahead: ``flush`` gives the last of them.
    """

    def __init__(self) -> None:
        self._rest: Waveform = np.empty(0, np.float32)
        self._before = np.ones(2)  # what the two hops before the rest need
        self._edge = 1.0  # gain where the rest begins

    def push(self, samples: Waveform) -> Waveform:
        audio = np.concatenate((self._rest, samples))
        count = len(audio) // HOP
        ready = count - 2
        if ready <= 0:
            self._rest = audio
            return np.empty(0, np.float32)
        peaks = np.abs(audio[: count * HOP]).reshape(count, HOP).max(axis=1)
        needed = np.concatenate((self._before, np.minimum(1.0, CEILING / np.maximum(peaks, CEILING))))
        lowest = np.lib.stride_tricks.sliding_window_view(needed, 4).min(axis=1)[: ready + 1]
        lowest[0] = self._edge
        rise = np.arange(ready + 1) * np.log(RELEASE)
        edges = np.minimum(1.0, np.exp(np.minimum.accumulate(np.log(lowest) - rise) + rise))
        self._before, self._edge = needed[ready : ready + 2], float(edges[-1])
        self._rest = audio[ready * HOP :]
        if edges.min() >= 1.0:
            return audio[: ready * HOP]
        ramps = edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(HOP) / HOP)
        limited: Waveform = (audio[: ready * HOP].reshape(ready, HOP) * ramps).astype(np.float32)
        return limited.reshape(-1)

    def flush(self) -> Waveform:
        left = len(self._rest)
        return self.push(np.zeros(3 * HOP, np.float32))[:left]


def limited(samples: Waveform) -> Waveform:
    """All at once."""
    if np.abs(samples).max(initial=0.0) <= CEILING:
        return samples
    limiter = Limiter()
    return np.concatenate((limiter.push(samples), limiter.flush()))
