"""The elements of a Matroska or WebM file (RFC 9559), to tell whether all of it is there.

FFmpeg looks for the next cluster where it meets something else, in silence. So all elements are walked over
first, by their sizes. Recorders in browsers write segments and clusters of unknown size: these end where an
element begins that cannot be inside.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from medasr_service.audio.ffmpeg import Container, Damage

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
INFO, TRACKS, TAGS, CUES = 0x1549A966, 0x1654AE6B, 0x1254C367, 0x1C53BB6B
SEEK_HEAD, CHAPTERS, ATTACHMENTS = 0x114D9B74, 0x1043A770, 0x1941A469
VOID, CRC = 0xEC, 0xBF
TOP = {CLUSTER, INFO, TRACKS, TAGS, CUES, SEEK_HEAD, CHAPTERS, ATTACHMENTS, VOID, CRC}
TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
BEHIND_CLUSTER = (TOP | {EBML, SEGMENT}) - {VOID, CRC}
IN_CLUSTER = {TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, 0xA7, 0xAB, 0x5854, 0xAF, VOID, CRC}
SCALE, DURATION = 0x2AD7B1, 0x4489
MAX_ELEMENTS = 12_000_000  # three hours of sound in packets of 2.5 ms, and of video
MAX_DAMAGE = 100  # places; what comes behind is not looked for
MAX_PARTS = 1_000
MAX_INFO = 1 << 16  # bytes
SEARCH_BYTES = 1 << 16


@dataclass(slots=True)
class Part:
    """One of the recordings that a file joins one after another: its bytes, and what lacks in it."""

    start: int
    end: int = 0
    damage: list[Damage] = field(default_factory=list)
    cut_off: str = ""
    duration_s: float = 0.0  # as announced, of all tracks
    last_s: float = 0.0  # time of its last block, of whatever track
    is_sized: bool = False  # and so whole, where nothing lacks in it

    def container(self) -> Container:
        """An announced length is that of the longest track; FFmpeg estimates it where it writes to a pipe."""
        slack_s = max(1.0, 0.02 * self.duration_s)
        cut_off = self.cut_off
        if not (cut_off or self.is_sized) and self.last_s < self.duration_s - slack_s:
            cut_off = f"the file announces {self.duration_s:,.1f} s"
        return Container("matroska", damage=tuple(self.damage), cut_off=cut_off)


@dataclass(frozen=True, slots=True)
class _Element:
    id: int
    at: int
    body: int
    size: int | None  # None: unknown

    def end(self, limit: int) -> int:
        return limit if self.size is None else self.body + self.size


class _Cut(Exception):
    """The file ends inside an element."""


def survey(file: BinaryIO) -> list[Part]:
    """Walks over all elements."""
    walk = _Walk(file)
    walk.run()
    return walk.parts or [Part(0, file.seek(0, 2))]


class _Walk:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._scale_s = 1e-3  # of a time stamp
        self._cluster_s = 0.0
        self._elements = 0
        self.parts: list[Part] = []

    def run(self) -> None:
        at = 0
        while at < self._size and len(self.parts) < MAX_PARTS:
            element = self._element(at)
            if element is None or element.id != EBML:
                if self.parts:
                    at = self._find(b"\x1a\x45\xdf\xa3", at + 1)
                    continue
                return
            part = Part(at)
            self.parts.append(part)
            self._scale_s, self._cluster_s = 1e-3, 0.0
            try:
                at = self._part(part, element)
            except _Cut as cut:
                part.cut_off, at = str(cut), self._size
            part.end = at

    def _part(self, part: Part, header: _Element) -> int:
        """From the EBML header to behind the segment."""
        at = header.end(self._size)
        while (element := self._element(at)) is not None and element.id in (VOID, CRC):
            at = element.end(self._size)
        if element is None or element.id != SEGMENT:
            raise _Cut("it has no segment")
        part.is_sized = element.size is not None
        end = element.end(self._size)
        at = element.body
        while at < min(end, self._size):
            child = self._element(at)
            if child is not None and child.id in (EBML, SEGMENT) and not part.is_sized:
                return at
            if child is None or child.id not in TOP:
                at = self._pass_over(part, at)
                continue
            if child.id == CLUSTER:
                at = self._cluster(part, child, end)
                continue
            if child.end(self._size) > self._size:
                raise _Cut("the file ends inside an element")
            if child.id == INFO:
                self._info(part, child)
            at = child.end(self._size)
        if end > self._size:
            raise _Cut(f"the file announces {end - self._size:,} bytes more than it has")
        return end

    def _cluster(self, part: Part, cluster: _Element, limit: int) -> int:
        end, at = cluster.end(min(limit, self._size)), cluster.body
        if end > limit:
            return self._pass_over(part, cluster.at)
        while at < min(end, self._size):
            child = self._element(at)
            if cluster.size is None and child is not None and child.id in BEHIND_CLUSTER:
                return at
            if child is None or child.id not in IN_CLUSTER or child.size is None:
                return self._pass_over(part, at)
            if child.end(end) > end:
                if child.end(end) > self._size:
                    raise _Cut("the file ends inside an element")
                return self._pass_over(part, at)
            self._note(part, child)
            at = child.end(end)
        if end > self._size:
            raise _Cut("the file ends inside a cluster")
        return end

    def _note(self, part: Part, child: _Element) -> None:
        """The time of a block, or of the cluster."""
        if child.id == TIMESTAMP:
            self._cluster_s = int.from_bytes(self._read(child.body, min(8, child.size or 0))) * self._scale_s
            if part.damage and math.isinf(part.damage[-1].after_s):
                last = part.damage.pop()
                part.damage.append(Damage(last.before_s, self._cluster_s, last.why))
        elif child.id == SIMPLE_BLOCK:
            self._note_block(part, child.body)
        elif child.id == BLOCK_GROUP and (block := self._element(child.body)) and block.id == BLOCK:
            self._note_block(part, block.body)

    def _note_block(self, part: Part, at: int) -> None:
        head = self._read(at, 10)
        track = 9 - head[0].bit_length() if head and head[0] else 1  # bytes of the number
        offset = int.from_bytes(head[track : track + 2], signed=True)
        part.last_s = self._cluster_s + offset * self._scale_s

    def _info(self, part: Part, info: _Element) -> None:
        """The unit of time, and the duration."""
        at, end = info.body, min(info.end(self._size), info.body + MAX_INFO)
        ticks = 0.0
        while at < end and (child := self._element(at)) is not None and child.size is not None:
            value = self._read(child.body, min(8, child.size))
            if child.id == SCALE:
                self._scale_s = int.from_bytes(value) / 1e9 or 1e-3
            elif child.id == DURATION and len(value) in (4, 8):
                [ticks] = struct.unpack(">f" if len(value) == 4 else ">d", value)
            at = child.end(end)
        if math.isfinite(ticks):
            part.duration_s = ticks * self._scale_s

    def _pass_over(self, part: Part, at: int) -> int:
        """To the next cluster, as FFmpeg does, or to the end."""
        if len(part.damage) >= MAX_DAMAGE:
            return self._size
        part.damage.append(Damage(part.last_s, math.inf, "what stands there is no element"))
        return self._find(b"\x1f\x43\xb6\x75", at + 1)

    def _find(self, name: bytes, at: int) -> int:
        while at < self._size:
            block = self._read(at, SEARCH_BYTES)
            found = block.find(name)
            if found >= 0:
                return at + found
            at += max(1, len(block) - len(name) + 1) if len(block) == SEARCH_BYTES else len(block) or 1
        return self._size

    def _element(self, at: int) -> _Element | None:
        """Its head: id and size, both of variable length; None where there is none."""
        self._elements += 1
        head = self._read(at, 12)
        if not head or self._elements > MAX_ELEMENTS:
            return None
        length = 9 - head[0].bit_length()
        if length > 4 or len(head) <= length:
            return None
        width = 9 - head[length].bit_length()
        if width > 8 or len(head) < length + width:
            return None
        bits = int.from_bytes(head[length : length + width]) & ((1 << 7 * width) - 1)
        size = None if bits == (1 << 7 * width) - 1 else bits
        return _Element(int.from_bytes(head[:length]), at, at + length + width, size)

    def _read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)
