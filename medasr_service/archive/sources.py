"""Which recordings are meant: those of a folder, of a pattern, or of a manifest."""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from medasr_service.archive import tables
from medasr_service.archive.places import (
    PROTOCOL,
    Place,
    SourceFailed,
    place,
    read,
    reason,
    shown,
    version,
    version_of,
)
from medasr_service.audio.suffixes import AUDIO_SUFFIXES
from medasr_service.errors import UsageError

MAGIC = "*?["
AT_ONCE = 32  # questions to a store, where each recording is asked about by itself


@dataclass(frozen=True, slots=True)
class Recording:
    """``version`` is that which was listed; empty: it was not there, or could not be asked about."""

    url: str
    version: str

    @property
    def name(self) -> str:
        """As rows call it."""
        return shown(self.url)


@dataclass(frozen=True, slots=True)
class Source:
    """``passed_over``: other files in the folder, whose names are not those of recordings."""

    recordings: tuple[Recording, ...]
    passed_over: int = 0


def listed(url: str) -> Source:
    """Every recording of it, once. Raises UsageError, SourceFailed."""
    given = place(url)
    try:
        found, others = _listed(given)
    except (UsageError, SourceFailed):
        raise
    except Exception as error:  # each file system has its own
        raise SourceFailed(f"{url} cannot be listed: {reason(error)}") from None
    if not found:
        raise UsageError(f"there is no recording in {url}")
    return Source(tuple({each.url: each for each in found}.values()), others)


def _listed(given: Place) -> tuple[list[Recording], int]:
    if given.path.endswith((".jsonl", ".parquet")) and not any(each in given.path for each in MAGIC):
        return list(_versions(_of_manifest(given))), 0
    if given.fs.isdir(given.path):
        found = list(_of_local_folder(given) if given.is_local else _of_folder(given))
    elif given.fs.isfile(given.path):
        return list(_versions([given])), 0
    elif any(each in given.path for each in MAGIC):
        return list(_versions(given.of(str(path)) for path in given.fs.glob(given.path))), 0
    else:
        raise UsageError(f"there is no {given.url}")
    recordings = [each for each in found if each.url.lower().endswith(AUDIO_SUFFIXES)]
    return recordings, len(found) - len(recordings)


def _of_local_folder(folder: Place) -> Iterator[Recording]:
    """Its files, and those of folders in it; links to folders, which may go in circles, are not followed."""
    for root, folders, files in os.walk(folder.path, onerror=_raise):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in files:
            if not file.startswith("."):
                found = folder.of(f"{root.rstrip('/')}/{file}")
                yield Recording(found.url, _version(found))


def _raise(error: OSError) -> None:
    raise error


def _of_folder(folder: Place) -> Iterator[Recording]:
    """A folder at a time: an archive's listing need not be in memory twice."""
    for root, folders, files in folder.fs.walk(folder.path, detail=True, on_error="raise"):
        for name in [each for each in folders if each.startswith(".")]:
            del folders[name]
        for name, info in files.items():
            if name and not name.startswith("."):
                yield Recording(folder.of(f"{root.rstrip('/')}/{name}").url, version_of(info))


def _of_manifest(manifest: Place) -> Iterator[Place]:
    """Names are from the folder of the manifest on, whole paths, or URLs."""
    content = read(manifest)
    if content is None:
        raise UsageError(f"there is no {manifest.url}")
    for name in (
        _named_in_parquet(manifest, content) if _is_parquet(manifest) else _named_in(manifest, content)
    ):
        if name.startswith("/") or PROTOCOL.match(name):
            yield place(name)
        else:
            yield manifest.of(f"{manifest.path.rpartition('/')[0]}/{PurePosixPath(name)}")


def _is_parquet(manifest: Place) -> bool:
    return manifest.path.endswith(".parquet")


def _named_in_parquet(manifest: Place, content: bytes) -> Iterable[str]:
    try:
        return tables.column(content, "audio")
    except ValueError as error:
        raise UsageError(f"{manifest.url} {error}") from None


def _named_in(manifest: Place, content: bytes) -> Iterator[str]:
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            try:
                name = json.loads(line)["audio"]
                if not isinstance(name, str) or not name:
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                raise UsageError(f'{manifest.url}:{number} is not {{"audio": FILE}}') from None
            yield name


def _versions(places: Iterable[Place]) -> Iterator[Recording]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(places)
        for each, known in zip(found, pool.map(_version, found), strict=True):
            yield Recording(each.url, known)


def _version(place: Place) -> str:
    """What is missing gets a row that says so."""
    try:
        return version(place)
    except Exception:  # each file system has its own
        return ""
