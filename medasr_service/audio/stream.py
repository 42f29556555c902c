"""Recordings of any common kind to mono float32 at 16 kHz, as a stream.

A recording is read twice. ``inspect`` decodes it once and refuses what is broken, empty or too long, before
the model sees any of it, and finds the peak that normalisation needs. ``stream`` decodes it again, mixes
down, resamples and amplifies, block by block: memory does not grow with the length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soxr

from medasr_service.audio import containers
from medasr_service.audio.limits import check_duration
from medasr_service.errors import EmptyAudio, InvalidAudio
from medasr_service.model.geometry import Waveform

SAMPLE_RATE = 16_000
MIN_DURATION_S = 0.1  # OpenAI's limit
PEAK = 0.95  # what a quiet recording is brought up to
MAX_PEAK = 1e6  # beyond, arithmetic on the samples overflows
QUIET_PEAK = 0.1  # below this (-20 dBFS) a recording counts as quiet; above, it stays as it is


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What ``inspect`` found: ``duration`` in seconds, ``peak`` of the mono mix in full scale."""

    duration: float
    peak: float

    def gain(self, *, max_gain: float) -> float:
        """The factor that brings a quiet recording up to PEAK; 1 for any other, and for digital silence."""
        if not 0 < self.peak < QUIET_PEAK:
            return 1.0
        return min(PEAK / self.peak, max_gain)


def inspect(
    file: BinaryIO,
    *,
    max_duration_s: float,
    max_channels: int,
    on_block: Callable[[], None] = lambda: None,
) -> AudioInfo:
    """Decodes the whole recording once, keeping nothing; calls ``on_block`` after each block.

    Raises EmptyAudio, TruncatedAudio, AudioTooLong, UnsupportedAudio or InvalidAudio.
    """
    samples, rate, peak = 0, SAMPLE_RATE, 0.0
    for block, rate in containers.decode(file, max_duration_s=max_duration_s, max_channels=max_channels):
        mono = block.mean(axis=1)
        if not np.isfinite(mono).all():
            raise InvalidAudio("The recording holds samples that are not numbers (NaN or infinity).")
        samples += len(mono)
        peak = max(peak, float(np.abs(mono).max(initial=0.0)))
        if peak > MAX_PEAK:
            raise InvalidAudio("The recording holds samples far beyond full scale.")
        check_duration(samples / rate, max_duration_s)
        on_block()
    if not samples:
        raise EmptyAudio("The recording holds no audio.")
    if samples / rate < MIN_DURATION_S:
        raise InvalidAudio(
            f"The recording is {samples / rate:.3f} s long; at least {MIN_DURATION_S} s are needed."
        )
    return AudioInfo(samples / rate, peak)


def stream(file: BinaryIO, *, gain: float, max_duration_s: float, max_channels: int) -> Iterator[Waveform]:
    """Mono blocks at 16 kHz, amplified; run ``inspect`` first. The sum of their lengths is the duration."""
    resampler: soxr.ResampleStream | None = None
    for block, rate in containers.decode(file, max_duration_s=max_duration_s, max_channels=max_channels):
        mono = block.mean(axis=1, dtype=np.float32) * np.float32(gain)
        if rate == SAMPLE_RATE:
            yield mono
            continue
        resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(mono)
    if resampler:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
