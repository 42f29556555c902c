"""Where an upload is kept while it is read: in memory, then in a file that never has a name."""

import errno
import os
import threading
from contextlib import suppress
from tempfile import SpooledTemporaryFile, TemporaryFile

from medasr_service.errors import NoRoom
from medasr_service.settings import Settings

MIB = 1 << 20
# Left free for the others on the disk: BentoML maps files of metrics there, and who writes to a mapped page
# for which there is no room is killed.
RESERVE_BYTES = 64 * MIB
FULL = (errno.ENOSPC, errno.EDQUOT)

_moving = threading.Lock()  # one at a time leaves memory, so that what is free is not counted twice


class Spool(SpooledTemporaryFile[bytes]):
    """Raises NoRoom where the disk has no room for more."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit_bytes = max(1, settings.spool_mb * MIB)  # 0 means no limit to tempfile
        # beyond max_size, tempfile opens it with O_TMPFILE, or unlinks it at once
        super().__init__(max_size=self._limit_bytes, dir=_folder(settings))

    def write(self, data: bytes) -> int:  # type: ignore[override]
        held = self.tell()
        if held + len(data) <= self._limit_bytes:
            return super().write(data)
        try:
            if held > self._limit_bytes:
                _check_room(os.fstatvfs(self.fileno()), len(data))
                return super().write(data)
            with _moving:
                _check_room(try_spool(self._settings), held + len(data))
                return super().write(data)
        except OSError as error:
            if error.errno in FULL:
                raise NoRoom from None
            raise

    def close(self) -> None:
        with suppress(OSError):  # what found no room is not written now either
            super().close()


def _folder(settings: Settings) -> str | None:
    return str(settings.spool_dir) if settings.spool_dir else None


def _check_room(disk: os.statvfs_result, size: int) -> None:
    if disk.f_bavail * disk.f_frsize < size + RESERVE_BYTES:
        raise NoRoom


def try_spool(settings: Settings) -> os.statvfs_result:
    """The disk of large uploads. Raises OSError where no file for one can be made."""
    with TemporaryFile(dir=_folder(settings)) as file:
        return os.fstatvfs(file.fileno())


def holds_largest(settings: Settings) -> bool:
    """Whether an upload of ``max_upload_mb`` fits on the disk at all."""
    disk = try_spool(settings)
    return disk.f_blocks * disk.f_frsize >= settings.max_upload_mb * MIB + RESERVE_BYTES
