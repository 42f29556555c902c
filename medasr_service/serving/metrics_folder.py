"""Where the processes of one service put their counters: in a folder of their own, gone when they are.

BentoML has one for all services of a user, and each start empties it, also one that is refused. It is asked
for the folder before anything is started, in the first process.
"""

import atexit
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import bentoml.serving

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's


def install() -> None:
    """BentoML takes this folder from now on."""
    bentoml.serving.ensure_prometheus_dir = make  # type: ignore[assignment]


def make() -> str:
    """A new one; it goes with this process, whether it has served or not."""
    folder = tempfile.mkdtemp(prefix="medasr-metrics-")
    atexit.register(remove, folder)
    return folder


def remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def forget(folder: str, pid: int) -> None:
    """What the process with this pid showed of its present ends with it; what it has counted stays."""
    for file in Path(folder).glob(f"gauge_*_{pid}.db"):
        with suppress(OSError):
            file.unlink()
