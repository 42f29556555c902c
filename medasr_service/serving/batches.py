"""What a batch of the model is: counted where it runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medasr_service.engines import padding_samples
from medasr_service.telemetry import metrics


@contextmanager
def counted(lengths: Sequence[int], sample_rate: int) -> Iterator[None]:
    """``lengths`` in samples; a batch of none, as the entry sends them at the start, is none."""
    started = time.perf_counter()
    yield
    if lengths:
        metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
        metrics.BATCH_WINDOWS.observe(len(lengths))
        metrics.BATCH_AUDIO_SECONDS.inc(sum(lengths) / sample_rate)
        metrics.BATCH_PADDING_SECONDS.inc(padding_samples(lengths) / sample_rate)
