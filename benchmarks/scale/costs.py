"""What a machine takes for its work, as measured: docs/performance.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from medasr_service.engines import groups

RATE = 16_000
BUCKET_S = 0.64  # lengths are padded to it (engines/onnx_ctc.py)
MEASURED_THREADS = 2


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, on a machine whose model runs with two threads.

    ``call_s`` for a forward pass whatever its length, ``per_s`` for each second of sound in it;
    ``request_s`` for a request (HTTP, the hop between the processes), ``outside_per_s`` for reading, decoding
    and formatting a second of sound. ``parallel`` is the share of a forward pass that threads divide among
    them (Amdahl).
    """

    name: str
    call_s: float
    per_s: float
    request_s: float
    outside_per_s: float
    parallel: float = 0.95

    def speed_up(self, threads: int) -> float:
        """Of a forward pass, against one with two threads."""
        return self._share(MEASURED_THREADS) / self._share(threads)

    def _share(self, threads: int) -> float:
        return 1 - self.parallel + self.parallel / threads

    def forward_s(self, lengths_s: Sequence[float], threads: int = MEASURED_THREADS) -> float:
        """Of a batch, grouped and padded as the engine does it."""
        total = 0.0
        for group in groups([round(length * RATE) for length in lengths_s]):
            longest = -(-lengths_s[group[0]] // BUCKET_S) * BUCKET_S
            total += self.call_s + self.per_s * longest * len(group)
        return total / self.speed_up(threads)


# benchmarks.request_profile and the clip of 5 s alone, on 2 cores (Zen 3), full size: 20 s of speech take
# 1,258 ms (int8 1,015), of which 32 (31) are outside and 13 (79) HTTP and the hop; 5 s take 390 ms (320).
FP32 = Costs("fp32", call_s=0.06, per_s=0.0577, request_s=0.013, outside_per_s=0.0016)
INT8 = Costs("int8", call_s=0.02, per_s=0.0443, request_s=0.04, outside_per_s=0.0016)
