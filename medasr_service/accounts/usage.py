"""What each key has used, for bills: a JSON line for each key and day. Requests and seconds, nothing else.

``usage.jsonl`` gets its lines at the end of a day (UTC), and when the service stops. Until then what was
counted goes once a minute to a file beside it, ``usage.jsonl.part``: whatever ends the service, no more than
that minute is lost, and the next start finds the rest. Where a service was stopped within a day there are
several lines of that day: they add up. Two services, as while one takes the place of the other, may write to
the same files.
"""

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from medasr_service.errors import UsageError

SAVE_S = 60.0
TAIL_BYTES = 1 << 20  # in which the lines of the last fold stand

log = logging.getLogger("bentoml.medasr")


@dataclass
class Used:
    requests: int = 0
    live_sessions: int = 0
    audio_s: float = 0.0

    def add(self, more: "Used") -> None:
        self.requests += more.requests
        self.live_sessions += more.live_sessions
        self.audio_s += more.audio_s


Counted = dict[tuple[str, str], Used]  # by day and key


def _now() -> datetime:
    return datetime.now(UTC)


class Usage:
    def __init__(self, file: Path, clock: Callable[[], datetime] = _now) -> None:
        self._file = file
        self._part = file.with_name(f"{file.name}.part")
        self._clock = clock
        self._day = self._today()
        self._counted: Counted = {}
        self._failed = False
        self._lock = threading.Lock()  # of the files, which are written beside the event loop

    def _today(self) -> str:
        return self._clock().date().isoformat()

    def count(self, key: str, *, requests: int = 0, live_sessions: int = 0, audio_s: float = 0.0) -> None:
        used = self._counted.setdefault((self._today(), key), Used())
        used.add(Used(requests, live_sessions, audio_s))

    def open(self) -> None:
        """Writes what a run that was killed has left. Raises UsageError where the files cannot be written."""
        try:
            with self._lock, self._file.open("ab"):
                self._fold()
        except OSError as error:
            raise UsageError(f"the usage cannot be written to {self._file}: {error.strerror}") from None

    async def keep(self) -> None:
        """For as long as it runs, little is lost where it ends without a word."""
        while True:
            await asyncio.sleep(SAVE_S)
            await asyncio.to_thread(self.save)

    def save(self) -> None:
        """What was counted since the last time; behind the end of a day, the lines of that day."""
        self._write(last=False)

    def close(self) -> None:
        """The lines of what was counted until now."""
        self._write(last=True)

    def _write(self, *, last: bool) -> None:
        """What finds no room now is tried again the next time."""
        with self._lock:
            counted, self._counted = self._counted, {}
            today = self._today()
            try:
                self._append(counted)
                counted = {}
                if last or today != self._day:
                    self._fold()
                    self._day = today
                self._failed = False
            except OSError as error:
                for at, used in counted.items():
                    self._counted.setdefault(at, Used()).add(used)
                if not self._failed:
                    log.error("the usage cannot be written to %s: %s", self._file, error.strerror)
                self._failed = True

    def _append(self, counted: Counted) -> None:
        lines = "".join(_line(day, key, used, at=str(time.time_ns())) for (day, key), used in counted.items())
        if lines:
            with self._part.open("ab", buffering=0) as part:
                fcntl.flock(part, fcntl.LOCK_EX)
                _write_whole(part, lines.encode())

    def _fold(self) -> None:
        """All that lies in the part, as one line for each day and key. Where a fold broke off between writing
        those and emptying the part, they are not written twice: they bear its name.
        """
        with self._part.open("a+b", buffering=0) as part:
            fcntl.flock(part, fcntl.LOCK_EX)
            part.seek(0)
            data = part.read()
            if not data:
                return
            name = hashlib.sha256(data).hexdigest()[:16]
            with self._file.open("a+b", buffering=0) as file:
                if name.encode() not in _tail(file):
                    lines = (_line(day, key, used, part=name) for (day, key), used in _summed(data).items())
                    _write_whole(file, "".join(lines).encode())
            part.truncate(0)
            os.fsync(part.fileno())


def _line(day: str, key: str, used: Used, **more: str) -> str:
    counts = {**asdict(used), "audio_s": round(used.audio_s, 3)}
    return json.dumps({"day": day, "key": key, **counts, **more}) + "\n"


def _summed(data: bytes) -> Counted:
    """A line that was cut off, where the machine lost its power, is left out."""
    counted: Counted = {}
    for line in data.splitlines():
        try:
            values = json.loads(line)
            at = values.pop("day"), values.pop("key")
            values.pop("at")  # no two parts are alike by it
            counted.setdefault(at, Used()).add(Used(**values))
        except (ValueError, TypeError, KeyError):
            log.error("a line of the usage cannot be read, and is left out")
    return counted


def _write_whole(file: IO[bytes], data: bytes) -> None:
    """All of it, on the disk, or nothing. Raises OSError."""
    size = os.fstat(file.fileno()).st_size
    try:
        written = file.write(data)
        if written != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(file.fileno())
    except OSError:
        file.truncate(size)
        raise


def _tail(file: IO[bytes]) -> bytes:
    file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
    return file.read()
