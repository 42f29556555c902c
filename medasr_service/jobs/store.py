"""Where sound and text of jobs lie, sealed: a folder, or whatever fsspec knows (s3://bucket/jobs).

Each job has a place, named by a time and chance alone, and in it a few files: what was asked (``record``),
the ``sound``, what the model has said of each window (``window-7``), segments (``part-3``), and at the end
the ``result`` or the ``failure``.
"""

import errno
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from medasr_service.errors import NoRoom
from medasr_service.jobs.sealed import Broken, Seal

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_BYTES = 1 << 18
TRIES = 10  # to remove a place in which somebody still moves files
PLACE = re.compile(r"[0-9a-f]{28}")
WORK = ("sound", "info", "window-*", "part-*")  # of no use once the result is there


def new_place(now_s: float | None = None) -> str:
    """A name that sorts by time, and that nobody guesses."""
    milliseconds = round((time.time() if now_s is None else now_s) * 1000)
    return f"{milliseconds:012x}{secrets.token_hex(8)}"


def made_s(place: str) -> float:
    """When the place was named, in s since 1970."""
    return int(place[:12], 16) / 1000


class Store:
    """Calls block: from a coroutine they go through a thread. Raises NoRoom where the disk is full."""

    def __init__(self, root: str, seal: Seal) -> None:
        self._files, self._root = fsspec.core.url_to_fs(root)
        self._local = isinstance(self._files, LocalFileSystem)
        self._seal = seal
        if self._local:  # others of this machine need not know how many there are
            os.makedirs(self._root, mode=0o700, exist_ok=True)  # noqa: PTH103  # fsspec has paths as text

    @property
    def folder(self) -> str | None:
        """On this machine; None where it is elsewhere."""
        return self._root if self._local else None

    def write(self, place: str, name: str, blocks: Iterable[bytes], *, about: str = "") -> None:
        """Whole or not at all: no reader finds half a file. ``about``: who reads it must say the same."""
        target = self._path(place, name)
        beside = f"{target}.{secrets.token_hex(4)}" if self._local else target
        try:
            self._files.makedirs(self._path(place), exist_ok=True)
            with self._files.open(beside, "wb") as file:
                for piece in self._seal.seal(f"{place}/{name}/{about}", blocks):
                    file.write(piece)
                if self._local:
                    file.flush()
                    os.fsync(file.fileno())
            if self._local:
                os.replace(beside, target)  # noqa: PTH105
        except BaseException as error:
            if self._local:
                with suppress(OSError):
                    os.unlink(beside)  # noqa: PTH108
            if isinstance(error, OSError) and error.errno in FULL:
                raise NoRoom from None
            raise

    def read(self, place: str, name: str, *, about: str = "") -> Iterator[bytes]:
        """Raises FileNotFoundError, or Broken, at the latest behind the last piece."""
        with self._files.open(self._path(place, name), "rb") as file:
            yield from self._seal.open(f"{place}/{name}/{about}", _blocks(file))

    def load(self, place: str, name: str, *, about: str = "") -> bytes | None:
        """A small file whole; None where there is none that can be read."""
        try:
            return b"".join(self.read(place, name, about=about))
        except (FileNotFoundError, Broken):
            return None

    def has(self, place: str, name: str) -> bool:
        return bool(self._files.exists(self._path(place, name)))

    def remove(self, place: str, *names: str) -> None:
        """These files, which may be patterns; without any, the whole place."""
        if not names:
            for _ in range(TRIES):  # a file that goes by itself meanwhile ends it, and the rest stays
                with suppress(FileNotFoundError):
                    self._files.rm(self._path(place), recursive=True)
                    return
            return
        for name in names:
            found = self._files.glob(self._path(place, name)) if "*" in name else [self._path(place, name)]
            for path in found:
                with suppress(FileNotFoundError):
                    self._files.rm(path)

    def places(self) -> list[str]:
        """Of all jobs, also of those that nothing else knows of."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        return [name for name in names if PLACE.fullmatch(name)]

    def _path(self, place: str, name: str = "") -> str:
        if not PLACE.fullmatch(place):
            raise ValueError("no place of a job")
        return "/".join(filter(None, (self._root, place, name)))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(READ_BYTES):
        yield block
