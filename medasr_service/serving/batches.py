"""What a batch of the model is: counted, and traced, where it runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medasr_service.engines import padding_samples
from medasr_service.serving import batching
from medasr_service.telemetry import metrics, traces


@contextmanager
def counted(lengths: Sequence[int], sample_rate: int) -> Iterator[None]:
    """``lengths`` in samples; a batch of none, as the entry sends them at the start, is none."""
    if not lengths:
        yield
        return
    audio_s, padding_s = sum(lengths) / sample_rate, padding_samples(lengths) / sample_rate
    started = time.perf_counter()
    with traces.for_all(
        "batch", batching.spans(), windows=len(lengths), audio_s=audio_s, padding_s=padding_s
    ):
        yield
    metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
    metrics.BATCH_WINDOWS.observe(len(lengths))
    metrics.BATCH_AUDIO_SECONDS.inc(audio_s)
    metrics.BATCH_PADDING_SECONDS.inc(padding_s)
