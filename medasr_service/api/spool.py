"""Where an upload is kept while it is read: in memory, then in a file that never has a name.

What all uploads together hold in memory is bounded (``Room``): beyond, they go to the disk at once.
"""

import errno
import os
import threading
from contextlib import suppress
from tempfile import SpooledTemporaryFile, TemporaryFile, gettempdir
from typing import IO

from medasr_service.api.memory import limit_bytes
from medasr_service.errors import NoRoom
from medasr_service.settings import Settings
from medasr_service.telemetry import metrics

MIB = 1 << 20
# Left free for the others on the disk: BentoML maps files of metrics there, and who writes to a mapped page
# for which there is no room is killed.
RESERVE_BYTES = 64 * MIB
FULL = (errno.ENOSPC, errno.EDQUOT)
SHARE = 16  # uploads may hold one part of so many of the memory that this container, or machine, has

_moving = threading.Lock()  # one at a time leaves memory, so that what is free is not counted twice


class Room:
    """Memory for uploads, in bytes, shared by all of them."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._lock = threading.Lock()
        metrics.SPOOL_LIMIT_BYTES.set(size)

    @classmethod
    def of(cls, settings: Settings) -> "Room":
        if settings.spool_memory_mb is not None:
            return cls(settings.spool_memory_mb * MIB)
        return cls(min(limit_bytes() // SHARE, settings.max_concurrent_requests * settings.spool_mb * MIB))

    def take(self, size: int) -> bool:
        """Whether there was so much."""
        with self._lock:
            if size > self.free:
                return False
            self.free -= size
        metrics.SPOOL_BYTES.labels("memory").inc(size)
        return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self.free += size
        metrics.SPOOL_BYTES.labels("memory").dec(size)


class Spool(SpooledTemporaryFile[bytes]):
    """Raises NoRoom where the disk has no room for more."""

    def __init__(self, settings: Settings, room: Room) -> None:
        self._settings = settings
        self._room = room
        self._taken = self._on_disk = 0
        self._limit_bytes = max(1, settings.spool_mb * MIB)  # 0 means no limit to tempfile
        # beyond max_size, tempfile opens it with O_TMPFILE, or unlinks it at once
        super().__init__(max_size=self._limit_bytes, dir=_folder(settings))
        self._rolled: bool
        self._file: IO[bytes]
        if hasattr(os, "memfd_create"):  # so that who decodes it reads it where it lies
            memory = os.memfd_create("upload", os.MFD_CLOEXEC)
            self._file = os.fdopen(memory, "w+b", buffering=0)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        held = self.tell()
        if not self._rolled and held + len(data) <= self._limit_bytes and self._room.take(len(data)):
            self._taken += len(data)
            return super().write(data)
        try:
            if self._rolled:
                _check_room(os.fstatvfs(self.fileno()), len(data))
                return self._write_to_disk(data)
            with _moving:
                _check_room(try_spool(self._settings), held + len(data))
                self.rollover()
            return self._write_to_disk(data)
        except OSError as error:
            if error.errno in FULL:
                raise NoRoom from None
            raise

    def _write_to_disk(self, data: bytes) -> int:
        written = self._file.write(data)
        self._count_on_disk(written)
        return written

    def _count_on_disk(self, size: int) -> None:
        self._on_disk += size
        metrics.SPOOL_BYTES.labels("disk").inc(size)

    def rollover(self) -> None:
        """From memory to the disk."""
        if self._rolled:
            return
        memory, self._file = self._file, TemporaryFile(dir=_folder(self._settings))  # noqa: SIM115
        self._rolled = True
        with memory:
            memory.seek(0)
            while block := memory.read(MIB):
                self._write_to_disk(block)
        self._give_back()

    def fileno(self) -> int:
        """Of the memory, too, where it has a descriptor; tempfile would go to the disk for one."""
        return self._file.fileno()

    def close(self) -> None:
        with suppress(OSError):  # what found no room is not written now either
            super().close()
        self._give_back()
        self._count_on_disk(-self._on_disk)

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        self._room.give_back(taken)


def _folder(settings: Settings) -> str | None:
    return str(settings.spool_dir) if settings.spool_dir else None


def _check_room(disk: os.statvfs_result, size: int) -> None:
    if disk.f_bavail * disk.f_frsize < size + RESERVE_BYTES:
        raise NoRoom


def try_spool(settings: Settings) -> os.statvfs_result:
    """The disk of large uploads. Raises OSError where no file for one can be made."""
    with TemporaryFile(dir=_folder(settings)) as file:
        return os.fstatvfs(file.fileno())


def free_bytes(settings: Settings) -> int:
    """What uploads may still take of the disk; asks, and makes nothing."""
    disk = os.statvfs(_folder(settings) or gettempdir())
    return max(0, disk.f_bavail * disk.f_frsize - RESERVE_BYTES)


def holds_largest(settings: Settings) -> bool:
    """Whether an upload of ``max_upload_mb`` fits on the disk at all."""
    disk = try_spool(settings)
    return disk.f_blocks * disk.f_frsize >= settings.max_upload_mb * MIB + RESERVE_BYTES
