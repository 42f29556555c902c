"""Secrets in the environment: only of the processes that need them, and no longer than they do.

Whoever runs as the same user, and a crash report, may read the environment in which a process was started.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

KEYS = ("MEDASR_API_KEYS", "MEDASR_JOBS_KEY", "MEDASR_JOBS_DATABASE_URL", "MEDASR_JOB_WEBHOOK_SECRET")
OF_THE_HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
ENV_START, ENV_END = 50 - 3, 51 - 3  # of proc_pid_stat(5), counted behind the name and its bracket


def without(variables: Mapping[str, str], *, keep_keys: bool) -> dict[str, str]:
    """For a process that is started: the model was fetched, so that it needs the hub no more."""
    dropped = {*OF_THE_HUB, *(() if keep_keys else KEYS)}
    return {**{k: v for k, v in variables.items() if k not in dropped}, "HF_HUB_OFFLINE": "1"}


def wipe() -> None:
    """Forgets them: in ``os.environ``, and on Linux in what /proc/PID/environ shows of this process."""
    for name in (*KEYS, *OF_THE_HUB):
        os.environ.pop(name, None)
    with suppress(OSError, ValueError, IndexError):
        _overwrite((*KEYS, *OF_THE_HUB))


def _overwrite(names: tuple[str, ...]) -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[ENV_START]), int(fields[ENV_END])
    with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        at = start
        for entry in memory.read(end - start).split(b"\0"):
            name, _, value = entry.partition(b"=")
            if value and name.decode(errors="replace") in names:
                memory.seek(at + len(name) + 1)
                memory.write(b"\0" * len(value))
            at += len(entry) + 1
