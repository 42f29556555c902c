"""The pages of an Ogg file (RFC 3533), to tell whether all of it is there.

Decoders pass over what is missing in silence: a page that ends early, a page whose checksum is wrong, all of
what follows the first of several joined recordings. So the pages are looked at before anything is decoded.

A missing end mark alone is no flaw. RFC 3533 asks for one, and encoders, FFmpeg and Firefox write it, but
Android's own writer (MediaRecorder, MediaMuxer) never does, so that whole recordings of telephones lack it.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from typing import BinaryIO

CAPTURE = b"OggS"
HEADER = struct.Struct("<4sBBqIIIB")  # capture, version, flags, granule, serial, number, checksum, segments
BEGINS, ENDS = 2, 4  # flags of a page
MAX_PAGES = 1_100_000  # three hours with a page for each packet of 10 ms; others fill theirs
MAX_STREAMS = 10_000  # joined or side by side
SEARCH_BYTES = 1 << 16

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Link:
    """One of the recordings that a file joins one after another: its bytes, and its tracks side by side."""

    start: int
    end: int
    tracks: int
    has_end_mark: bool


class Damaged(ValueError):
    """It is sure that a part is missing; the text says what shows it, to follow "the file"."""


@dataclass(slots=True)
class _Stream:
    """What is known of a logical stream after its latest page."""

    number: int
    has_sound: bool = False
    is_open: bool = False  # its last packet goes on, on the page to come
    has_ended: bool = False


def survey(file: BinaryIO) -> list[Link]:
    """Walks over all pages, one in memory at a time. Raises Damaged where a part is sure to be missing."""
    walk = _Walk()
    file.seek(0)
    for _ in range(MAX_PAGES):
        at = file.tell()
        head = file.read(HEADER.size)
        if not head:
            return walk.finish()
        if not CAPTURE.startswith(head[:4]):
            walk.pass_over_junk()
            _find_capture(file, at + 1)
            continue
        walk.add(at, _read_page(file, head))
    raise Damaged(f"has more than {MAX_PAGES:,} pages")


class _Walk:
    """What the pages so far have shown."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._links: list[Link] = []
        self._unended: set[int] = set()
        self._in_heads = False

    def add(self, at: int, page: bytes) -> None:
        _, _, flags, granule, serial, number, checksum, segments = HEADER.unpack_from(page)
        if _checksum(page) != checksum:
            raise Damaged("holds a damaged page")
        if flags & BEGINS:
            link = self._links.pop() if self._in_heads else Link(at, at, 0, has_end_mark=False)
            self._links.append(replace(link, tracks=link.tracks + 1))
            self._streams[serial] = _Stream(number)
            self._unended.add(serial)
            if len(self._streams) > MAX_STREAMS:
                raise Damaged(f"has more than {MAX_STREAMS:,} streams")
        self._in_heads = bool(flags & BEGINS)
        if serial not in self._streams:
            raise Damaged("lacks its beginning")
        stream = self._streams[serial]
        if stream.has_sound and number > stream.number + 1:  # a live recording may begin anywhere
            raise Damaged("lacks pages in its middle")
        stream.number = number
        stream.has_sound |= granule > 0
        stream.is_open = segments > 0 and page[HEADER.size + segments - 1] == 255
        if flags & ENDS:
            stream.has_ended = True
            self._unended.discard(serial)
        last = self._links[-1]
        self._links[-1] = replace(last, end=at + len(page), has_end_mark=stream.has_ended)

    def pass_over_junk(self) -> None:
        """Tags and padding behind the end do no harm."""
        if self._unended:
            raise Damaged("goes on with something else than OGG")

    def finish(self) -> list[Link]:
        if any(stream.is_open and not stream.has_ended for stream in self._streams.values()):
            raise Damaged("ends in the middle of a packet")
        return self._links


def _read_page(file: BinaryIO, head: bytes) -> bytes:
    """The whole page: header, lengths of its segments, segments."""
    lengths = file.read(head[-1]) if len(head) == HEADER.size else b""
    body = file.read(sum(lengths))
    if len(head) < HEADER.size or len(lengths) < head[-1] or len(body) < sum(lengths):
        raise Damaged("ends in the middle of a page")
    return head + lengths + body


def _find_capture(file: BinaryIO, at: int) -> None:
    """Moves on to the next page, or to the end of the file."""
    file.seek(at)
    while block := file.read(SEARCH_BYTES):
        found = block.find(CAPTURE)
        if found >= 0:
            file.seek(at + found)
            return
        at += max(1, len(block) - len(CAPTURE) + 1)
        file.seek(at)


def _checksum(page: bytes) -> int:
    """CRC-32 with the usual polynomial, but from the highest bit down, and without the two inversions."""
    blank = page[:22] + bytes(4) + page[26:]
    reflected = zlib.crc32(blank.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{reflected:032b}"[::-1], 2)
