"""JSON lines of which each holds the SHA-256 of the one before: what is changed, moved or missing is seen.

Whoever may write to the file can write a new chain. So that this is seen too, its head (number and SHA-256 of
the last line) is told elsewhere now and then: a chain in which that head stands is the same up to there.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTHING = "0" * 64  # in the place of the hash where nothing is before
TORN = "torn"  # the event of a line behind one that was cut off
MOST_BYTES = 1 << 16  # of a line

Fields = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """The last line: its number, from 1 on, and its SHA-256."""

    number: int = 0
    digest: str = NOTHING

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def of(cls, text: str) -> "Head":
        """Raises ValueError."""
        found = re.fullmatch(r"(\d+):([0-9a-f]{64})", text.strip())
        if not found:
            raise ValueError("a head is written as 1234:5f0c..., a number and 64 hexadecimal digits")
        return cls(int(found[1]), found[2])

    def next(self, line: bytes) -> "Head":
        return Head(self.number + 1, hashlib.sha256(line).hexdigest())


class Chain:
    """A file that lines are added to. Several processes may: each goes on where the last one was.

    Where the file was renamed (logrotate), the next line begins a new one, in the same chain. A line that was
    cut off when a process was killed stays: the next one says so, and goes on from it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._end = 0  # of the file, when this process wrote last
        self._file: int | None = None
        self.head = Head()

    def append(self, entries: Sequence[Fields] = ()) -> None:
        """All of them, on the disk; raises OSError, and then none of them is there."""
        with self._lock, self._writing() as file:
            size = os.fstat(file).st_size
            data = b""
            if size != self._end:
                self.head, torn = _last(file, size)
                if torn:
                    data, entries = b"\n", [{"event": TORN, "bytes": torn}, *entries]
            head = self.head
            for entry in entries:
                line = json.dumps({"n": head.number + 1, **entry, "prev": head.digest}).encode()
                data, head = data + line + b"\n", head.next(line)
            if data:
                _write_whole(file, data, size)
            self.head, self._end = head, size + len(data)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._end = None, 0

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The file that lies at the path, which nobody else writes to now. Who goes on in a new file reads
        the last line of this one under its lock: so nothing is added to it that was renamed meanwhile.
        """
        while True:
            with _locked(self._opened()) as file:
                if _is_at(file, self._path):
                    yield file
                    return

    def _opened(self) -> int:
        """The file that lies at the path now."""
        if self._file is not None and not _is_at(self._file, self._path):
            with _locked(self._file) as old:
                if (size := os.fstat(old).st_size) != self._end:
                    self.head, _ = _last(old, size)
            self.close()
        if self._file is None:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
            self._file = os.open(self._path, flags, 0o600)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                self.close()
                raise OSError(errno.EINVAL, "it is no ordinary file")
        return self._file


@contextmanager
def _locked(file: int) -> Iterator[int]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield file
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _write_whole(file: int, data: bytes, size: int) -> None:
    try:
        if os.write(file, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _last(file: int, size: int) -> tuple[Head, int]:
    """The head, and how many bytes of a line that was cut off it is; 0 where it is a whole one."""
    length = min(size, 2 * MOST_BYTES)
    *whole, rest = os.pread(file, length, size - length).split(b"\n")
    head = Head(_number(whole[-1]) - 1).next(whole[-1]) if whole else Head()
    return (head.next(rest), len(rest)) if rest else (head, 0)


def _number(line: bytes) -> int:
    try:
        return int(json.loads(line)["n"])
    except (ValueError, TypeError, KeyError):
        return 0
