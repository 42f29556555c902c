"""What is made and checked once, before any worker starts."""

import logging
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from medasr_service.model import digests
from medasr_service.model.checkpoint import Checkpoint, resolve
from medasr_service.settings import Settings

T = TypeVar("T")

log = logging.getLogger("bentoml.medasr")


def check(settings: Settings) -> tuple[Checkpoint, str]:
    """Makes what is missing of the model, and finds out whether all can be used; also what digests were read.

    Raises ModelUnavailable, or OSError where no upload can be kept.
    """
    from medasr_service import engines
    from medasr_service.api import spool
    from medasr_service.decoding import language_model
    from medasr_service.decoding.confidence import Confidence
    from medasr_service.decoding.ctc import Vocabulary

    if not spool.holds_largest(settings):
        log.warning("the disk of uploads is smaller than max_upload_mb: the largest get 503")
    found = resolve(settings)
    language_model.load(found, Vocabulary.load(found.folder), settings)
    Confidence.load(found.folder)
    engines.prepare(found, settings)
    return found, digests.to_tell()


def elsewhere(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, in a process that takes its memory with it (on Linux)."""
    if sys.platform != "linux":
        return work()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(work).result()
