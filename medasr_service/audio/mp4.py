"""What the tables of an MP4 announce, to tell whether reading them fits into memory.

FFmpeg makes an index entry of every sample that a table announces before it reads one: without a limit a
file of a few kilobytes could ask for gigabytes. Tables are searched for by name in all boxes but those of
sound and pictures, wherever they lie: FFmpeg takes them in odd places, too.
"""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

MAX_ENTRIES = 8_000_000  # of the index: three hours of AAC and of video, edited, have half as many
MAX_TABLES = 64 << 20  # bytes
MAX_BOXES = 1_000_000  # three hours in fragments of a tenth of a second have 756,000, with those inside
BLOCK = 1024  # samples that FFmpeg joins to one entry where a sample is one number

_TABLE = re.compile(rb"trak|stsz|stz2|stts|stsc|stco|co64|elst|trun|cmov")


class Excessive(ValueError):
    """The text says what there is too much of, to follow "the file"."""


def check(file: BinaryIO) -> None:
    """Raises Excessive; leaves the file at its start."""
    size = file.seek(0, 2)
    track, entries, read = _Track(size), 0, 0
    for box in _boxes(file, size):
        read += len(box)
        if read > MAX_TABLES:
            raise Excessive(f"has more than {MAX_TABLES >> 20} MiB of tables")
        for found in _TABLE.finditer(box):
            name = found[0]
            if name == b"cmov":
                raise Excessive("has compressed tables")
            if name == b"trak":
                entries += track.entries
                track = _Track(size)
            else:
                track.add(name, memoryview(box)[found.end() :])
                _check(entries + track.entries)
    _check(entries + track.entries)
    file.seek(0)


def _check(entries: int) -> None:
    if entries > MAX_ENTRIES:
        raise Excessive(f"announces {entries:,} samples of sound or pictures")


class _Track:
    """What the tables between two names of a track announce."""

    def __init__(self, file_size: int) -> None:
        self._file_size = file_size
        self._samples = self._chunks = self._per_chunk = self._fragments = 0
        self._edits = 1
        self._steps: list[tuple[int, int]] = []  # of time: how many entries, the first one's length

    def add(self, name: bytes, table: memoryview) -> None:
        _, first, second, third = struct.unpack(">4I", bytes(table[:16]).ljust(16, b"\0"))
        if name in (b"stsz", b"stz2"):
            self._samples += second
        elif name == b"trun":
            self._fragments += first
        elif name == b"elst":
            self._edits = max(self._edits, first)
        elif name == b"stts":
            self._steps.append((first, third))
        elif name == b"stsc":
            rows = table[8 : 8 + 12 * min(first, (len(table) - 8) // 12)]
            self._per_chunk = max((row[1] for row in struct.iter_unpack(">3I", rows)), default=0)
        else:
            self._chunks += first

    @property
    def entries(self) -> int:
        samples = self._samples
        if self._steps == [(1, 1)] and samples <= self._file_size:  # a sample is one number
            samples = min(samples, self._chunks * -(-self._per_chunk // BLOCK))
        return samples * self._edits + self._fragments


def _boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The top-level boxes that may hold tables: 4 bytes size, 4 bytes name, 8 bytes size where that is 1."""
    at = 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, name = struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack_from(">Q", head, 8)
        if length < 8:  # to the end of the file
            length = size - at
        if name != b"mdat":
            file.seek(at)
            yield file.read(min(length, MAX_TABLES + 1))
        at += length
    raise Excessive(f"has more than {MAX_BOXES:,} boxes")
