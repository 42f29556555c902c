"""Where recordings and rows lie: a folder, or what fsspec knows. A file appears whole or not at all."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from medasr_service.archive import unfinished
from medasr_service.errors import MedASRError, UsageError
from medasr_service.stores import OBJECT_STORES

EXTRAS = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az",
    "sftp": "sftp", "ssh": "sftp",
}  # fmt: skip
SFTP = ("sftp", "ssh")
PUT_IS_ATOMIC = OBJECT_STORES.union(SFTP)
TAGS = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "created")
PROTOCOL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


class TargetFailed(MedASRError):
    """Rows cannot be written: the run ends, and what it has written so far is whole."""


class SourceFailed(MedASRError):
    """Recordings cannot be listed or read: the run ends."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a file system; ``url`` is how a user named it."""

    url: str
    fs: Any
    path: str

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def at(self, *names: str) -> "Place":
        """What lies in it."""
        return self.of("/".join((self.path.rstrip("/"), *names)))

    def of(self, path: str) -> "Place":
        """Another path of the same file system."""
        return Place(self._prefix + path, self.fs, path)

    @property
    def _prefix(self) -> str:
        """What its URL has before the path: protocol, host."""
        if self.url.endswith(self.path):
            return self.url.removesuffix(self.path)
        return str(self.fs.unstrip_protocol(self.path)).removesuffix(self.path)


def shown(url: str) -> str:
    """A name that is not UTF-8 as text that any output takes, and that is still its own."""
    return os.fsencode(url).decode("utf-8", "backslashreplace")


def place(url: str) -> Place:
    """Raises UsageError where nothing here knows such a URL."""
    protocol = PROTOCOL.match(url)
    if "::" in url and "://" in url and not url.startswith("/"):  # simplecache:: keeps recordings on a disk
        raise UsageError(f"{url} has several parts: name the files themselves")
    if protocol is None or protocol[1] == "file":
        try:
            path = str(Path(url.removeprefix("file://")).expanduser().absolute())
        except RuntimeError:
            raise UsageError(f"{url} is nowhere: there is no such home folder") from None
        return Place(path, LocalFileSystem(), path)
    try:
        fs, path = _file_system(protocol[1], url)
    except ImportError as error:
        extra = EXTRAS.get(protocol[1])
        advice = f"pip install 'medasr-service[{extra}]'" if extra else str(error)
        raise UsageError(f"{protocol[1]}:// needs a package that is not installed: {advice}") from None
    except Exception as error:  # each file system has its own
        raise UsageError(f"{_without_password(url)}: {_reason_of(url, error)}") from None
    return Place(url.rstrip("/"), fs, str(path))


def _file_system(protocol: str, url: str) -> tuple[Any, Any]:
    if protocol in SFTP:
        from medasr_service.archive import sftp  # needs paramiko

        return sftp.of(url)
    return tuple(url_to_fs(url, use_listings_cache=False))


def _without_password(url: str) -> str:
    """To the last @: one may be in the password, as may be a slash."""
    return re.sub(r"(://[^:]*):.*@", r"\1@", url, flags=re.DOTALL)


def _reason_of(url: str, error: Exception) -> str:
    """urllib's words would have what it takes for a port: the half of a password that has a slash in it."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        return "no host and port can be read in it"
    return reason(error)


def reason(error: BaseException) -> str:
    """Without the names that messages of the system's errors have in them."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def version(place: Place) -> str:
    """Size and what tells of a change: the store's tag, or the time of the last one. Raises OSError."""
    if place.is_local:
        stat = os.stat(place.path)  # noqa: PTH116  # a name that is not UTF-8 stays as it is
        return f"{stat.st_size}-{stat.st_mtime_ns}"
    return version_of(place.fs.info(place.path))


def version_of(info: dict[str, Any]) -> str:
    tag = next((info[key] for key in TAGS if info.get(key) is not None), "")
    if isinstance(tag, datetime):  # a listing may have it as a number
        tag = tag.timestamp()
    return f"{info.get('size')}-" + (f"{tag:.6f}" if isinstance(tag, float) else str(tag).strip('"'))


def size_of(version: str) -> int:
    """In bytes; 0 where a store does not tell."""
    size = version.split("-")[0]
    return int(size) if size.isdigit() else 0


def read(place: Place) -> bytes | None:
    """None where there is no such file. Raises SourceFailed."""
    try:
        return bytes(place.fs.cat_file(place.path))
    except FileNotFoundError:
        return None
    except Exception as error:  # each file system has its own
        raise SourceFailed(f"{place.url} cannot be read: {reason(error)}") from None


def names(folder: Place) -> list[str]:
    """Of the files in it; none where there is no such folder. Raises SourceFailed."""
    try:
        return [str(each).rsplit("/", 1)[-1] for each in folder.fs.ls(folder.path, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except Exception as error:
        raise SourceFailed(f"{folder.url} cannot be listed: {reason(error)}") from None


def write(place: Place, data: bytes) -> None:
    """In place of what is there. Raises TargetFailed."""
    with _told(place):
        _make_folder(place)
        if _is_one_of(place, PUT_IS_ATOMIC):
            place.fs.pipe_file(place.path, data)
            return
        with _beside(place, data) as part:
            if place.is_local:
                os.replace(part, place.path)  # noqa: PTH105
            else:
                place.fs.mv(part, place.path)


def create(place: Place, data: bytes) -> bool:
    """Whole, where there is nothing yet: of many who try one succeeds. Raises TargetFailed."""
    with _told(place):
        _make_folder(place)
        try:
            if place.is_local:
                with _beside(place, data) as part:
                    os.link(part, place.path)
            else:
                place.fs.pipe_file(place.path, data, mode="create")
        except FileExistsError:
            return False
        return True


def is_old(place: Place, seconds: float) -> bool:
    """Whether nothing has been written to it for so long; of a store nothing is half-written."""
    try:
        if place.is_local:
            since = os.stat(place.path).st_mtime  # noqa: PTH116
        elif _is_one_of(place, OBJECT_STORES):
            return False
        else:
            since = place.fs.modified(place.path).timestamp()
    except Exception:  # each file system has its own
        return False
    return time.time() - since > seconds


def remove(place: Place) -> None:
    with suppress(OSError):
        place.fs.rm_file(place.path)


def _is_one_of(place: Place, known: frozenset[str]) -> bool:
    protocols = place.fs.protocol
    return bool(known & set([protocols] if isinstance(protocols, str) else protocols))


def _make_folder(place: Place) -> None:
    if not _is_one_of(place, OBJECT_STORES):
        place.fs.makedirs(place.path.rsplit("/", 1)[0], exist_ok=True)


@contextmanager
def _beside(place: Place, data: bytes) -> Iterator[str]:
    """A file in the same folder, on its disk, which is gone afterwards unless it was given its name."""
    part = unfinished.beside(place.path)
    try:
        with place.fs.open(part, "wb") as file:
            file.write(data)
            if place.is_local:
                file.flush()
                os.fsync(file.fileno())
        yield part
    finally:
        with suppress(Exception):
            place.fs.rm_file(part)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each file system has its own
        raise TargetFailed(f"{place.url} cannot be written: {reason(error)}") from None
