"""Samples without a container, as they come in pieces, to samples at 16 kHz: 16-bit PCM, and G.711."""

import numpy as np
import soxr
from numpy.typing import NDArray

from medasr_service.audio.stream import SAMPLE_RATE
from medasr_service.model.geometry import Waveform

FULL_SCALE = 1 << 15
BIAS = 33  # of mu-law, in its 14 bits


def _mu_law() -> NDArray[np.int16]:
    """ITU-T G.711, table 2: inverted codes of sign, exponent and mantissa; 14 bits, here as 16."""
    codes = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    size = (((2 * mantissa.astype(np.int32) + BIAS) << exponent) - BIAS) * 4
    return np.where(codes & 0x80, -size, size).astype(np.int16)


def _a_law() -> NDArray[np.int16]:
    """ITU-T G.711, table 1: codes with every other bit inverted; 13 bits, here as 16."""
    codes = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = ((codes >> 4) & 7).astype(np.int32), (codes & 15).astype(np.int32)
    size = np.where(exponent, (2 * mantissa + BIAS) << np.maximum(exponent - 1, 0), 2 * mantissa + 1) * 8
    return np.where(codes & 0x80, size, -size).astype(np.int16)


MU_LAW, A_LAW = _mu_law(), _a_law()


class PCM16:
    """Mono at ``rate``, resampled without a seam; pieces of any length, joined where they part a sample.

    16-bit little-endian; with ``law`` bytes, each a code of that table of 256 samples.
    """

    def __init__(self, rate: int, law: NDArray[np.int16] | None = None) -> None:
        self.rate = rate
        self._law = law
        self._reset()

    def _reset(self) -> None:
        self._half = b""  # of a sample
        self._taken = self._given = 0  # samples, before and behind the resampler
        self._resampler: soxr.ResampleStream | None = None
        if self.rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(self.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    @property
    def held(self) -> int:
        """How many samples ``flush`` would give, or one more."""
        return self._taken * SAMPLE_RATE // self.rate - self._given

    def decode(self, data: bytes) -> Waveform:
        samples: Waveform = self._samples(data).astype(np.float32) / np.float32(FULL_SCALE)
        self._taken += len(samples)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        self._given += len(samples)
        return samples

    def _samples(self, data: bytes) -> NDArray[np.int16]:
        if self._law is not None:
            return self._law[np.frombuffer(data, np.uint8)]
        data = self._half + data
        whole = len(data) - len(data) % 2
        self._half = data[whole:]
        return np.frombuffer(data[:whole], "<i2")

    def flush(self) -> Waveform:
        """What the resampler still holds; the next piece starts anew, with a whole sample."""
        rest: Waveform = np.empty(0, np.float32)
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(rest, last=True)
        self._reset()
        return rest
