"""The header of a WAV (RIFF, RIFX, RF64, BW64), and where in the file its samples are.

libsndfile takes the size of the samples from the header, and where the file is shorter, reads on in silence;
where it is longer, it stops. Recorders write wrong sizes in many ways: none that they never came to write, or
that a pipe did not let them write, sizes that are off by a header, or of the moment before the battery was
empty. So the samples are found here, and libsndfile is shown a header that is true.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from medasr_service.audio import riff, tail
from medasr_service.errors import UnsupportedAudio

MAX_PARTS = 1_000
MAX_FORMAT = 4_096  # bytes of a format
PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 0x1, 0x3, 0x6, 0x7, 0xFFFE
OF_LIBSNDFILE = {PCM, FLOAT, ALAW, MULAW, 0x2, 0x11, 0x31, 0x38, 0x40}  # ADPCM, GSM 6.10, NMS, G.721
MPEG = {0x50, 0x55}  # layer II and III
TRIFLE_S = 0.02  # what lacks in size, and cannot hold so much sound, is no sound
SLACK_BYTES = 64  # of what lacks where the header tells no rate of bytes
SLACK = 9  # bytes by which the size of a file may be off: a header of a chunk, and padding


@dataclass(frozen=True, slots=True)
class Part:
    """One of the recordings that a file joins: a header that is true, then the bytes that hold its samples.

    ``missing_s`` seconds lack, ``why`` says how that is known.
    """

    header: bytes
    coding: int
    start: int
    end: int
    missing_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Head:
    """What the chunks up to the samples say, of which the first is at ``start``. ``riff_end``: of all."""

    order: str
    form: bytes
    fact: bytes
    start: int
    announced: int
    riff_end: int

    @property
    def coding(self) -> int:
        [coding] = struct.unpack_from(f"{self.order}H", self.form)
        if coding == EXTENSIBLE and len(self.form) >= 26:
            [coding] = struct.unpack_from(f"{self.order}H", self.form, 24)
        return int(coding)

    @property
    def align(self) -> int:
        return max(1, int(struct.unpack_from(f"{self.order}H", self.form, 12)[0]))

    @property
    def bytes_per_s(self) -> int:
        rate, bytes_per_s = struct.unpack_from(f"{self.order}II", self.form, 4)
        return int(rate * self.align if self.coding in (PCM, FLOAT) else bytes_per_s)  # some have it wrong

    @property
    def samples(self) -> tail.Form | None:
        """How they lie, where they are numbers."""
        width = struct.unpack_from(f"{self.order}H", self.form, 14)[0] + 7 >> 3
        widths = {PCM: (1, 2, 3, 4), FLOAT: (4, 8)}.get(self.coding, ())
        if width not in widths or self.align % width:
            return None
        return tail.Form(self.order, self.coding == FLOAT, width, self.align)


def survey(file: BinaryIO) -> list[Part]:
    """Raises InvalidAudio, UnsupportedAudio; leaves the file at its start."""
    size, at = file.seek(0, 2), 0
    parts: list[Part] = []
    while at < size and len(parts) < MAX_PARTS:
        part, at = _part(file, _head(file, at), size)
        parts.append(part)
    file.seek(0)
    return parts


def _head(file: BinaryIO, at: int) -> _Head:
    order = riff.BYTE_ORDERS[riff.read(file, at, 4)]
    riff_end = at + 8 + struct.unpack(f"{order}I", riff.read(file, at + 4, 4).ljust(4, b"\0"))[0]
    form, fact, long_size = b"", b"", 0
    for chunk in riff.chunks(file, at + 12, order):
        if chunk.name == b"fmt ":
            form = riff.read(file, chunk.body, min(chunk.size, MAX_FORMAT))
        elif chunk.name == b"ds64":
            long_size = int.from_bytes(riff.read(file, chunk.body, 16)[8:], "little")
        elif chunk.name == b"fact":
            fact = struct.pack(f"{order}4sI", b"fact", 4) + riff.read(file, chunk.body, 4).ljust(4, b"\0")
        elif chunk.name == b"data":
            if len(form) < 16:
                break
            announced = long_size if long_size and chunk.size == 0xFFFF_FFFF else chunk.size
            return _Head(order, form, fact, chunk.body, announced, riff_end)
    raise UnsupportedAudio("The WAV file has no samples: it lacks a format, or data.")


def _part(file: BinaryIO, head: _Head, size: int) -> tuple[Part, int]:
    """Where the samples end, whatever the header says; and where the next recording begins."""
    start, announced, there = head.start, head.announced, size - head.start
    is_empty = announced == 0 and tail.rest(file, start, size, head.order) == size
    if _is_unknown(announced, there) and not is_empty:
        limit = riff.next_recording(file, start, size)
        return _made(head, tail.end_of_samples(file, start, limit)), limit
    end = start + min(announced, there)
    missing_s = (announced - there) / head.bytes_per_s if announced > there and head.bytes_per_s else 0.0
    is_trifle = missing_s < TRIFLE_S if head.bytes_per_s else announced - there <= SLACK_BYTES
    if announced > there and (end == start or not is_trifle):
        why = f"the WAV header announces {announced:,} bytes of audio; the file holds {there:,}"
        return _made(head, end, missing_s, why), size
    limit = riff.next_recording(file, end, size)
    return _with_rest(file, head, end, limit), limit


def _with_rest(file: BinaryIO, head: _Head, end: int, limit: int) -> Part:
    """With what stands between the announced end of the samples and the end of the recording."""
    begin = tail.rest(file, end, limit, head.order)
    if (limit - begin) < TRIFLE_S * max(1, head.bytes_per_s):
        return _made(head, end)
    last, form = tail.end_of_samples(file, begin, limit), head.samples
    if form and begin == end:
        first = begin - (begin - head.start) % form.align
        is_sound = tail.are_samples(file, first, last, form)
    else:
        is_sound = begin == end and form is None and abs(head.riff_end - limit) <= SLACK
    if is_sound:
        return _made(head, last)
    why = (
        f"behind the {head.announced:,} bytes of audio that the WAV header announces stand {limit - begin:,}"
        " more, which are no chunk, and not plainly audio"
    )
    return _made(head, end, 0.0, why)


def _made(head: _Head, end: int, missing_s: float = 0.0, why: str = "") -> Part:
    order, size = head.order, end - head.start
    body = struct.pack(f"{order}4sI", b"fmt ", len(head.form)) + head.form + bytes(len(head.form) % 2)
    if head.fact and abs(size - head.announced) <= SLACK:  # else it tells of another length
        body += head.fact
    body += struct.pack(f"{order}4sI", b"data", size)
    name = b"RIFX" if order == ">" else b"RIFF"
    header = name + struct.pack(f"{order}I", 4 + len(body) + size) + b"WAVE" + body
    return Part(header, head.coding, head.start, end, missing_s, why)


def _is_unknown(announced: int, there: int) -> bool:
    """Whether the size is one that is written where nobody knows it: none, or the greatest of some kind."""
    if announced == 0:
        return there > 0
    greatest = announced >= (1 << 32) - (1 << 16) or (1 << 31) - (1 << 16) <= announced <= (1 << 31) + (
        1 << 12
    )
    return announced > there and greatest
