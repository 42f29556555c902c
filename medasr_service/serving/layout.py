"""How many processes run the model, and with how many threads each.

A forward pass on many cores wastes some of each: beyond ``THREADS`` another worker hears more. A worker costs
memory, so that there are no more of them than the container has room for, unless their number is set.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from medasr_service.engines import cpu
from medasr_service.settings import Settings

THREADS = 4
VARIABLE = "_MEDASR_LAYOUT"  # in the environment of the processes that are started later
SERVICE_BYTES = 512 << 20  # of all that is no worker: supervisor, entry, decoders, uploads
WORKER_BYTES = 256 << 20  # of a worker, beside its weights: Python, and what 30 s of sound take
READ_TWICE = 1.25  # of the weights on disk, where each worker has its own: what is in half precision grows


@dataclass(frozen=True, slots=True)
class Layout:
    """``threads`` of each worker."""

    workers: int
    threads: int


def of(settings: Settings, cpus: int) -> Layout:
    """As the settings have it; what they leave open, so that all CPUs work and none has two threads.

    Threads alone mean one worker: whoever sets them wants no more of the machine.
    """
    workers, threads = settings.workers, settings.threads
    if workers is None:
        workers = 1 if threads else max(1, cpus // THREADS)
    return Layout(workers, threads or max(1, cpus // workers))


def that_fits(wanted: Layout, *, weights_bytes: int, shared: bool, limit_bytes: int) -> Layout:
    """Fewer workers, with more threads each, where the memory does not do for all.

    ``weights_bytes`` are on disk; ``shared``: all workers have them once.
    """
    each, once = (
        (WORKER_BYTES, weights_bytes) if shared else (WORKER_BYTES + int(READ_TWICE * weights_bytes), 0)
    )
    workers = max(1, min(wanted.workers, (limit_bytes - SERVICE_BYTES - once) // each))
    return (
        wanted if workers == wanted.workers else Layout(workers, wanted.workers * wanted.threads // workers)
    )


def tell(layout: Layout) -> None:
    os.environ[VARIABLE] = f"{layout.workers} {layout.threads}"


def heard(settings: Settings) -> Layout:
    """In a process of the supervisor's: what it has told. Elsewhere one worker, with the threads of the
    settings.
    """
    if told := os.environ.get(VARIABLE):
        workers, threads = map(int, told.split())
        return Layout(workers, threads)
    return Layout(1, settings.threads or cpu.quota())


def weights_bytes(model: Path) -> int:
    """Of a model.onnx, or of the folder of a checkpoint, on disk."""
    files = model.glob("*.safetensors") if model.is_dir() else model.parent.glob(f"{model.name}*")
    return sum(each.stat().st_size for each in files)
