"""Where sound and text of jobs lie, sealed: a folder, or whatever fsspec knows (s3://bucket/jobs).

Each job has a place, named by a time and chance alone, and in it a few files: what was asked (``record``),
the ``sound``, what the model has said of each window (``window-7``), segments (``part-3``), and at the end
the ``result`` or the ``failure``, and how it ended (``ending``).
"""

import errno
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from medasr_service.errors import MedASRError, NoRoom, NotReady
from medasr_service.jobs.sealed import Broken, Seal
from medasr_service.stores import OBJECT_STORES

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_BYTES = 1 << 18
TRIES = 10  # to remove a place in which somebody still moves files
PLACE = re.compile(r"[0-9a-f]{28}")
WORK = ("sound", "window-*", "part-*", "info")  # of no use once the result is there; ``info`` goes last


def new_place(now_s: float | None = None) -> str:
    """A name that sorts by time, and that nobody guesses."""
    milliseconds = round((time.time() if now_s is None else now_s) * 1000)
    return f"{milliseconds:012x}{secrets.token_hex(8)}"


def made_s(place: str) -> float:
    """When the place was named, in s since 1970."""
    return int(place[:12], 16) / 1000


class StoreAway(NotReady):
    retry_after_s = 10

    def __init__(self) -> None:
        super().__init__("What is kept of jobs cannot be reached for now. Try again later.")


class Store:
    """Calls block: from a coroutine they go through a thread.

    Raises NoRoom where the disk is full, NotReady where it, or the store, cannot be used for now.
    """

    def __init__(self, root: str, seal: Seal) -> None:
        """Raises ValueError, or what fsspec raises, where it is none."""
        protocol = root.partition("://")[0] if "://" in root else "file"
        if protocol not in OBJECT_STORES | {"file"}:
            raise ValueError(f"neither a folder nor one of {', '.join(sorted(OBJECT_STORES - {'memory'}))}")
        listed: dict[str, Any] = {} if protocol == "file" else {"use_listings_cache": False}  # others write
        self._files, self._root = fsspec.core.url_to_fs(root, **listed)
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
        sealed = self._seal.seal(f"{place}/{name}/{about}", blocks)
        with self._told():
            if self._local:
                self._write_beside(self._path(place), name, sealed)
            else:
                self._put(self._path(place, name), sealed)

    def _write_beside(self, folder: str, name: str, sealed: Iterable[bytes]) -> None:
        target = f"{folder}/{name}"
        beside = f"{target}.{secrets.token_hex(4)}"
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        try:
            with self._files.open(beside, "wb") as file:
                for piece in sealed:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)  # noqa: PTH108
            raise

    def _put(self, target: str, sealed: Iterable[bytes]) -> None:
        """A file of a store appears when it is closed: one that breaks off must never be."""
        file = self._files.open(target, "wb")
        try:
            for piece in sealed:
                file.write(piece)
        except BaseException:
            with suppress(Exception):
                file.discard()
            with suppress(Exception):
                file.closed = True
            raise
        file.close()

    def read(self, place: str, name: str, *, about: str = "") -> Iterator[bytes]:
        """Raises FileNotFoundError, or Broken, at the latest behind the last piece."""
        with self._told(), self._files.open(self._path(place, name), "rb") as file:
            yield from self._seal.open(f"{place}/{name}/{about}", _blocks(file))

    def load(self, place: str, name: str, *, about: str = "") -> bytes | None:
        """A small file whole; None where there is none that can be read."""
        try:
            with self._told():
                sealed = self._files.cat_file(self._path(place, name))
            return b"".join(self._seal.open(f"{place}/{name}/{about}", [sealed]))
        except (FileNotFoundError, Broken):
            return None

    def has(self, place: str, name: str) -> bool:
        with self._told():
            return self._is_there(self._path(place, name))

    def _is_there(self, path: str) -> bool:
        """Not fsspec's ``exists``, which says no where it cannot ask."""
        try:
            self._files.info(path)
        except FileNotFoundError:
            return False
        return True

    def remove(self, place: str, *names: str) -> None:
        """These files, which may be patterns; without any, the whole place."""
        with self._told():
            if not names:
                self._remove_all(place)
            for name in names:
                path = self._path(place, name)
                for each in self._files.glob(path) if "*" in name else [path]:
                    with suppress(FileNotFoundError):
                        self._files.rm(each)

    def _remove_all(self, place: str) -> None:
        for _ in range(TRIES):  # a file that goes by itself meanwhile ends it, and the rest stays
            with suppress(FileNotFoundError):
                self._files.rm(self._path(place), recursive=True)
            if not self._is_there(self._path(place)):
                return

    def places(self) -> list[str]:
        """Of all jobs, also of those that nothing else knows of."""
        try:
            with self._told():
                found = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        return [name for name in names if PLACE.fullmatch(name)]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """That there is no such file all file systems say alike; whatever else they say is for now."""
        try:
            yield
        except (FileNotFoundError, Broken, MedASRError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise NoRoom from None
            if self._local and not isinstance(error, OSError):
                raise
            raise StoreAway from error

    def _path(self, place: str, name: str = "") -> str:
        if not PLACE.fullmatch(place):
            raise ValueError("no place of a job")
        return "/".join(filter(None, (self._root, place, name)))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(READ_BYTES):
        yield block
