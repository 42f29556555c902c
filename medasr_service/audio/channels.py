"""Whether the mix of all channels still has what is in them: one channel inverted, and they cancel.

Uncorrelated channels give a mix of the energy of all of them, divided by the square of their number; channels
that are alike give more. A second whose mix has a tenth of that, or less, is one that cancels.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

CANCELLED = 0.1  # of the energy of a mix of channels that have nothing in common
LOUD = 0.01  # of the energy of the loudest seconds (-20 dB): below, nothing is said
SHARE = 0.05  # of the loud seconds: so many must cancel
SILENT = 1e-10  # of full scale, squared: -100 dBFS


class Balance:
    """Takes blocks; second by second it compares the channels with their mix."""

    def __init__(self) -> None:
        self._apart = array("f")  # energy of a second: of a mix without anything in common
        self._mixed = array("f")  # and of the real one
        self._channels: NDArray[np.float64] | None = None  # energy of each, of the whole recording

    def add(self, block: NDArray[np.float32], rate: int) -> None:
        """Shape [samples, channels]; nothing to do for one channel."""
        count = block.shape[1]
        if count < 2:
            return
        for start in range(0, len(block), rate):
            part = block[start : start + rate].astype(np.float64)
            part -= part.mean(axis=0)
            energies = np.square(part).mean(axis=0)
            self._apart.append(float(energies.sum()) / count**2)
            self._mixed.append(float(np.square(part.mean(axis=1)).mean()))
            if self._channels is None or len(self._channels) != count:
                self._channels = np.zeros(count)
            self._channels += energies

    @property
    def channel(self) -> int | None:
        """The loudest channel, from 0, where the mix cancels; None where the mix is to be heard."""
        if self._channels is None:
            return None
        apart, mixed = np.array(self._apart), np.array(self._mixed)
        loud = apart >= max(SILENT, LOUD * float(np.quantile(apart, 0.95)))
        cancelled = mixed[loud] < CANCELLED * apart[loud]
        if not cancelled.any() or cancelled.mean() < SHARE:
            return None
        return int(self._channels.argmax())


def mix(block: NDArray[np.float32], channel: int | None) -> NDArray[np.float32]:
    """Mono: the mean of all channels, or one of them."""
    if channel is not None and channel < block.shape[1]:
        return block[:, channel]
    mono: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
    return mono
