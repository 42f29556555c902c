"""LASR's log-mel front end in numpy, so that serving needs no torch.

Equal to transformers' LasrFeatureExtractor (which follows the model's JAX code): symmetric Hann window, power
spectrum, triangular filters on kaldi's mel scale from 125 to 7,500 Hz without the DC bin, log with a floor of
1e-5, no padding at the edges. In float64, as there: quiet bins beside loud ones need it.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from medasr_service.model.geometry import Waveform

LOWER_HZ, UPPER_HZ = 125.0, 7_500.0
FLOOR = 1e-5
BLOCK = 64  # frames at a time: what lies between stays in the cache of a core


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(hertz / 700.0)


def mel_filters(bins: int, fft: int, sample_rate: int) -> NDArray[np.float64]:
    """Triangles of height 1, shape [fft // 2 + 1, bins]; the row of the DC bin is 0."""
    frequencies = _mel(np.linspace(0.0, sample_rate / 2, fft // 2 + 1))[1:, None]
    edges = np.linspace(_mel(np.array(LOWER_HZ)), _mel(np.array(UPPER_HZ)), bins + 2)
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies - lower) / (center - lower)
    falling = (upper - frequencies) / (upper - center)
    return np.pad(np.maximum(0.0, np.minimum(rising, falling)), ((1, 0), (0, 0)))


class LogMel:
    """Made from the feature extractor's part of a checkpoint's processor configuration."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._hop, self._length, self._fft = config["hop_length"], config["win_length"], config["n_fft"]
        self._window = np.hanning(self._length)
        self._filters = mel_filters(config["feature_size"], self._fft, config["sampling_rate"])

    def __call__(self, waveform: Waveform) -> NDArray[np.float32]:
        """[samples] to [1 + (samples - window) // hop, mel bins]; at least one window is needed."""
        frames = sliding_window_view(waveform, self._length)[:: self._hop]
        features = np.empty((len(frames), self._filters.shape[1]), np.float32)
        for at in range(0, len(frames), BLOCK):
            spectrum = np.fft.rfft(self._window * frames[at : at + BLOCK], n=self._fft)
            power = spectrum.real**2 + spectrum.imag**2
            features[at : at + BLOCK] = np.log(np.maximum(power @ self._filters, FLOOR))
        return features
