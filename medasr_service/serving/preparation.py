"""What is made and checked once, before any worker starts."""

import logging
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from medasr_service.model import digests
from medasr_service.model.checkpoint import Checkpoint, resolve
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.serving import layout
from medasr_service.serving.layout import Layout
from medasr_service.settings import Settings

T = TypeVar("T")

log = logging.getLogger("bentoml.medasr")


def check(settings: Settings) -> tuple[Checkpoint, str, Layout]:
    """Makes what is missing of the model, and finds out whether all can be used; also what digests were
    read, and how many workers there are to be.

    Raises ModelUnavailable, or OSError where no upload can be kept.
    """
    from medasr_service import engines
    from medasr_service.api import spool
    from medasr_service.transcriber import Transcriber

    if not spool.holds_largest(settings):
        log.warning("the disk of uploads is smaller than max_upload_mb: the largest get 503")
    if settings.jobs:
        from medasr_service.serving import jobs

        jobs.check(settings)
    found = resolve(settings)
    Transcriber.of(found, _nothing_heard, settings)
    chosen = _layout(settings, engines.prepare(found, settings))
    return found, digests.to_tell(), chosen


def _layout(settings: Settings, model: Path) -> Layout:
    """As many workers as were set, or as the memory has room for."""
    from medasr_service import engines
    from medasr_service.api import memory
    from medasr_service.engines import cpu

    wanted = layout.of(settings, cpu.quota())
    if wanted.workers == 1:
        return wanted
    shared = engines.share(model, settings)
    if settings.workers:
        return wanted
    weights_bytes = layout.weights_bytes(model)
    return layout.that_fits(
        wanted, weights_bytes=weights_bytes, shared=shared, limit_bytes=memory.limit_bytes()
    )


async def _nothing_heard(waveforms: list[Waveform]) -> list[Emission]:
    """In the place of the model, which is not loaded yet."""
    raise NotImplementedError


def elsewhere(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, in a process that takes its memory with it (on Linux)."""
    if sys.platform != "linux":
        return work()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(work).result()
