"""16-bit PCM, as it comes in pieces, to samples at 16 kHz."""

import numpy as np
import soxr

from medasr_service.audio.stream import SAMPLE_RATE
from medasr_service.errors import InvalidAudio
from medasr_service.model.geometry import Waveform

FULL_SCALE = 1 << 15


class PCM16:
    """Little-endian mono at ``rate``; pieces of any length, resampled without a seam."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._resampler = self._fresh()

    def _fresh(self) -> soxr.ResampleStream | None:
        if self.rate == SAMPLE_RATE:
            return None
        return soxr.ResampleStream(self.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def decode(self, data: bytes) -> Waveform:
        """Raises InvalidAudio where half a sample comes."""
        if len(data) % 2:
            raise InvalidAudio(
                f"The audio has {len(data):,} bytes; 16-bit samples need an even number.", param="audio"
            )
        samples: Waveform = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return samples

    def flush(self) -> Waveform:
        """What the resampler still holds; the next piece starts anew."""
        if self._resampler is None:
            return np.empty(0, np.float32)
        rest: Waveform = self._resampler.resample_chunk(np.empty(0, np.float32), last=True)
        self._resampler = self._fresh()
        return rest
