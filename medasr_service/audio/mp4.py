"""The boxes of an MP4, to tell whether all of it is there, and whether reading its tables fits into memory.

FFmpeg makes an index entry of every sample that a table announces before it reads one: without a limit a
file of a few kilobytes could ask for gigabytes. Tables are searched for by name in all boxes but those of
sound and pictures, wherever they lie: FFmpeg takes them in odd places, too.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from medasr_service.audio.view import Stretch

MAX_ENTRIES = 8_000_000  # of the index: three hours of AAC and of video, edited, have half as many
MAX_TABLES = 64 << 20  # bytes
MAX_BOXES = 1_000_000  # three hours in fragments of a tenth of a second have 756,000, with those inside
BLOCK = 1024  # samples that FFmpeg joins to one entry where a sample is one number

MAX_FILLING = 64 << 20  # bytes that a lost stretch may have had
FRAGMENT_HEAD = 1_024  # bytes that tell where it was
MAX_LOST = 100  # places where something else than a box stands
SEARCH_BYTES = 1 << 16
ZEROS = bytes(1 << 16)  # what filling is made of: the same ones again and again
NO_INDEX = "it has no index (moov), which its recorder writes at the end"
NO_BOX = "what stands there is no box"

_NAME = re.compile(rb"[ -~\xa9]{4}")
_BEGINS = re.compile(rb"[\0-\xff]{4}(?:moof|ftyp)")
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


@dataclass(frozen=True, slots=True)
class Part:
    """One of the recordings that a file joins one after another.

    ``stretches`` are the bytes of it that are boxes, and what stands in for others, which lack: ``damage``
    and ``cut_off`` say why.
    """

    stretches: tuple[Stretch, ...]
    damage: str = ""
    cut_off: str = ""


def survey(file: BinaryIO) -> list[Part]:
    """Raises Excessive; leaves the file at its start.

    FFmpeg reads the first recording of several, and of fragments no further than to what is no box.
    """
    check(file)
    size = file.seek(0, 2)
    parts: list[Part] = []
    boxes: list[_Box] = []
    for box in _heads(file, size):
        if box.name == b"ftyp" and any(before.name in (b"moov", b"mdat") for before in boxes):
            parts.append(_part(file, boxes, box.at))
            boxes = []
        boxes.append(box)
    parts.append(_part(file, boxes, size))
    file.seek(0)
    return parts


def _part(file: BinaryIO, boxes: list["_Box"], end: int) -> Part:
    names = {box.name for box in boxes}
    start = boxes[0].at if boxes else 0
    cut_off = NO_INDEX if b"mdat" in names and b"moov" not in names else ""
    if boxes and boxes[-1].end > end:
        cut_off = f"the file announces {boxes[-1].end - end:,} bytes more than it has"
    if b"moof" not in names:  # an index says where all of it is
        return Part(((start, end),), "", cut_off)
    lost = [box for box in boxes if not box.is_known and not _is_padding(file, box.at, box.end)]
    stretches: list[Stretch] = []
    for box in lost:
        stretches += [(start, box.at), *_filling(file, box, boxes[0].at)]
        start = box.end
    return Part((*stretches, (start, end)), NO_BOX if lost else "", cut_off)


def _filling(file: BinaryIO, lost: "_Box", origin: int) -> list[Stretch]:
    """A box without meaning in place of what is lost: fragments behind it say where in the file they are."""
    missing = min(_offset(file, lost.end) - (lost.end - origin), MAX_FILLING)
    size = lost.end - lost.at + max(0, missing)
    if size < 8:
        return []
    whole, rest = divmod(size - 8, len(ZEROS))
    return [struct.pack(">I4s", size, b"free"), *([ZEROS] * whole), ZEROS[:rest]]


def _offset(file: BinaryIO, at: int) -> int:
    """Where the fragment there says that it was, from the start of its recording; 0 where it does not."""
    file.seek(at)
    head = file.read(FRAGMENT_HEAD)
    found = head.find(b"tfhd")
    if head[4:8] != b"moof" or found < 0 or not head[found + 7] & 1:
        return 0
    return int.from_bytes(head[found + 12 : found + 20])


@dataclass(frozen=True, slots=True)
class _Box:
    """``is_known``: a box; else what stands between two of them."""

    name: bytes
    at: int
    end: int
    is_known: bool = True


def _heads(file: BinaryIO, size: int) -> Iterator[_Box]:
    """All boxes of the top level: 4 bytes size, 4 bytes name, 8 bytes size where that is 1."""
    at = lost = 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if not head:
            return
        length, name = struct.unpack_from(">I4s", head.ljust(16, b"\0"))
        if length == 1:
            (length,) = struct.unpack_from(">Q", head.ljust(16, b"\0"), 8)
        elif length == 0 and name.isalnum():  # to the end of the file
            length = size - at
        if length < 8 or not _NAME.fullmatch(name):
            lost += 1
            end = _find_fragment(file, at + 1, size) if lost < MAX_LOST else size
            yield _Box(b"", at, end, is_known=False)
            at = end
            continue
        yield _Box(name, at, at + length)
        at += length
        if at >= size:
            return
    raise Excessive(f"has more than {MAX_BOXES:,} boxes")


def _find_fragment(file: BinaryIO, at: int, size: int) -> int:
    """Where the next fragment or recording begins, or the end of the file."""
    file.seek(at)
    while block := file.read(SEARCH_BYTES):
        if found := _BEGINS.search(block):
            return at + found.start()
        at += max(1, len(block) - 8)
        file.seek(at)
        if at + 8 >= size:
            break
    return size


def _is_padding(file: BinaryIO, at: int, end: int) -> bool:
    file.seek(at)
    while at < end and (block := file.read(min(SEARCH_BYTES, end - at))):
        if any(block):
            return False
        at += len(block)
    return True


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
        if at >= size:  # the size of a box has 64 bits, more than a file can be sought to
            return
    raise Excessive(f"has more than {MAX_BOXES:,} boxes")
