"""Who works on which shard: a file that only one can create. Where its run has died, the next may.

Parts are right without them, for their names are fixed and they appear whole: claims only spare work.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medasr_service.archive import places
from medasr_service.archive.places import Place
from medasr_service.errors import MedASRError

BEAT_S = 10.0
LEASE_S = 60.0  # a run on another machine that has not shown itself for so long is dead


class Claims:
    """``run`` names who claims: all workers of one command have the same."""

    def __init__(self, folder: Place, run: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._run = run
        self._clock = clock
        self._seen: dict[str, tuple[bytes, float]] = {}

    def take(self, shard: str) -> bool:
        """Whether it is ours now. Raises TargetFailed."""
        claim = self._folder.at(f"claim-{shard}")
        for _ in range(2):
            if places.create(claim, self._run.encode()):
                return True
            holder = (places.read(claim) or b"").decode(errors="replace")
            if holder == self._run:
                return True
            if holder and self.is_alive(holder):
                return False
            places.remove(claim)
        return False

    def give_back(self, shard: str) -> None:
        places.remove(self._folder.at(f"claim-{shard}"))

    def is_alive(self, run: str) -> bool:
        """Of one on this machine its process is looked for; of others, whether they still show themselves."""
        shows = places.read(self._folder.at(f"run-{run}"))
        if shows is None:
            return False
        try:
            told = json.loads(shows)
        except ValueError:
            told = {}
        if told.get("host") == socket.gethostname():
            return _started(int(told["pid"])) == str(told["started"])
        before, since = self._seen.get(run, (b"", 0.0))
        if before != shows:
            self._seen[run] = (shows, self._clock())
            return True
        return self._clock() - since < LEASE_S


class Beating:
    """A run that shows itself, for as long as it is entered."""

    def __init__(self, folder: Place, run: str) -> None:
        self._place = folder.at(f"run-{run}")
        self._beats = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Beating":
        self._show()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        places.remove(self._place)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                self._show()
            except MedASRError:
                continue  # whoever writes rows says so

    def _show(self) -> None:
        self._beats += 1
        told: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "beats": self._beats}
        places.write(self._place, json.dumps({**told, "started": _started(os.getpid())}).encode())


def _started(pid: int) -> str:
    """When a process began, in the kernel's words; empty where there is none. No other ever has both."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:  # no /proc
        os.kill(pid, 0)
    except OSError:
        return ""
    return "runs"
