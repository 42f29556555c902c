"""How samples become frames: derived from a checkpoint's own configuration, never assumed."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Waveform: TypeAlias = NDArray[np.float32]
"""Mono samples in [-1, 1], shape [samples]."""

Emission: TypeAlias = NDArray[np.float32]
"""Natural-log posteriors, shape [frames, vocabulary]."""


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """The front end and the two strided convolutions of LASR (transformers ``LasrEncoderSubsampling``).

    With google/medasr: a frame each 640 samples (40 ms), each seeing 2,320 samples (145 ms).
    """

    sample_rate: int = 16_000
    window: int = 400
    hop: int = 160
    kernel: int = 5
    stride: int = 2
    layers: int = 2

    @property
    def frame_samples(self) -> int:
        """Samples from the start of one frame to the start of the next."""
        return int(self.hop * self.stride**self.layers)

    @property
    def frame_s(self) -> float:
        return self.frame_samples / self.sample_rate

    @property
    def receptive_samples(self) -> int:
        """Samples that one frame sees; fewer make no frame at all."""
        features = 1
        for _ in range(self.layers):
            features = (features - 1) * self.stride + self.kernel
        return (features - 1) * self.hop + self.window

    def frames(self, samples: int) -> int:
        """Frames that a forward pass over so many samples gives (0 where they are too few)."""
        return max(0, (samples - self.receptive_samples) // self.frame_samples + 1)

    def seconds(self, frame: float) -> float:
        """The time at which a frame begins: the middle of what it sees, less half a frame."""
        middle = frame * self.frame_samples + self.receptive_samples / 2
        return (middle - self.frame_samples / 2) / self.sample_rate
