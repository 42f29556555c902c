"""What runs the network. An engine turns waveforms into log-posteriors and knows nothing of requests."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from medasr_service.geometry import Emission, Waveform

MAX_PADDING = 0.25  # of a group, so that padding stays cheap
MAX_GROUP_SAMPLES = 160 * 16_000  # eight windows of 20 s: bounds the memory of one forward pass


class Engine(Protocol):
    """``name`` is shown on /health."""

    name: str

    def infer(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        """One emission per waveform, in order, each as if the waveform had been alone."""
        ...


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of waveforms to run together: of similar length, longest first, and not too many.

    In a group the padding is at most MAX_PADDING of what is computed for its shortest member.
    """
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[group[0]] if group else lengths[i]
        if group and (
            lengths[i] < (1 - MAX_PADDING) * longest or longest * (len(group) + 1) > MAX_GROUP_SAMPLES
        ):
            yield group
            group = []
        group.append(i)
    if group:
        yield group
