"""The chunks of a WAV (RIFF, RIFX, RF64, BW64), and where in the file its samples are.

libsndfile takes the size of the samples from the header, and where the file is shorter, reads on in silence.
Recorders write wrong sizes in many ways: none that they never came to write, or that a pipe did not let them
write, or sizes that are off by a header. So the samples are found here, and libsndfile is shown a header that
is true. A chunk: 4 bytes name, 4 bytes size, its bytes, and one more where these are odd.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from medasr_service.errors import InvalidAudio, UnsupportedAudio

MAX_CHUNKS = 1_000  # of a WAV; real ones have a handful
MAX_PARTS = 1_000
MAX_FORMAT = 4_096  # bytes of a format
BYTE_ORDERS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 0x1, 0x3, 0x6, 0x7, 0xFFFE
OF_LIBSNDFILE = {PCM, FLOAT, ALAW, MULAW, 0x2, 0x11, 0x31, 0x38, 0x40}  # ADPCM, GSM 6.10, NMS, G.721
MPEG = {0x50, 0x55}  # layer II and III
TRIFLE_S = 0.02  # what lacks in size, and cannot hold so much sound, is no sound
SEARCH_BYTES = 1 << 20


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
class _Chunk:
    name: bytes
    body: int
    size: int


def survey(file: BinaryIO) -> list[Part]:
    """Raises InvalidAudio, UnsupportedAudio; leaves the file at its start."""
    size = file.seek(0, 2)
    parts: list[Part] = []
    at: int | None = 0
    while at is not None and len(parts) < MAX_PARTS:
        part = _part(file, at, size)
        parts.append(part)
        at = _joined(file, part.end, size)
    file.seek(0)
    return parts


def _part(file: BinaryIO, at: int, size: int) -> Part:
    order = BYTE_ORDERS[_read(file, at, 4)]
    form, fact, long_size = b"", b"", 0
    for chunk in _chunks(file, at + 12, size, order):
        if chunk.name == b"fmt ":
            form = _read(file, chunk.body, min(chunk.size, MAX_FORMAT))
        elif chunk.name == b"ds64":
            long_size = int.from_bytes(_read(file, chunk.body, 16)[8:], "little")
        elif chunk.name == b"fact":
            fact = struct.pack(f"{order}4sI", b"fact", 4) + _read(file, chunk.body, 4).ljust(4, b"\0")
        elif chunk.name == b"data":
            if len(form) < 16:
                break
            announced = long_size if long_size and chunk.size == 0xFFFF_FFFF else chunk.size
            return _measure(file, order, form, fact, chunk.body, announced, size)
    raise UnsupportedAudio("The WAV file has no samples: it lacks a format, or data.")


def _measure(
    file: BinaryIO, order: str, form: bytes, fact: bytes, start: int, announced: int, size: int
) -> Part:
    """Where the samples end, whatever the header says."""
    coding, _, rate, bytes_per_s, align = struct.unpack_from(f"{order}HHIIH", form)
    if coding == EXTENSIBLE and len(form) >= 26:
        (coding,) = struct.unpack_from(f"{order}H", form, 24)
    if coding in (PCM, FLOAT):  # some headers have it wrong
        bytes_per_s = rate * align
    there, missing_s, why = size - start, 0.0, ""
    if _is_unknown(announced, there) and not (announced == 0 and _only_chunks(file, start, size, order)):
        end = start + _until_next(file, start, size)
    else:
        end = start + min(announced, there)
        missing_s = (announced - there) / bytes_per_s if announced > there and bytes_per_s else 0.0
    if missing_s < TRIFLE_S and end > start:
        missing_s = 0.0
    elif announced > there:
        why = f"the WAV header announces {announced:,} bytes of audio; the file holds {there:,}"
    body = struct.pack(f"{order}4sI", b"fmt ", len(form)) + form + bytes(len(form) % 2)
    if not why and fact:
        body += fact
    body += struct.pack(f"{order}4sI", b"data", end - start)
    name = b"RIFX" if order == ">" else b"RIFF"
    header = name + struct.pack(f"{order}I", 4 + len(body) + end - start) + b"WAVE" + body
    return Part(header, coding, start, end, missing_s if why else 0.0, why)


def _is_unknown(announced: int, there: int) -> bool:
    """Whether the size is one that is written where nobody knows it: none, or the greatest of some kind."""
    if announced == 0:
        return there > 0
    greatest = announced >= (1 << 32) - (1 << 16) or (1 << 31) - (1 << 16) <= announced <= (1 << 31) + (
        1 << 12
    )
    return announced > there and greatest


def _chunks(file: BinaryIO, at: int, size: int, order: str) -> Iterator[_Chunk]:
    for _ in range(MAX_CHUNKS):
        head = _read(file, at, 8)
        if len(head) < 8:
            return
        name, length = struct.unpack(f"{order}4sI", head)
        yield _Chunk(name, at + 8, length)
        at += 8 + length
        if length % 2 and not (_is_name(_read(file, at, 4)) and not _is_name(_read(file, at + 1, 4))):
            at += 1
    raise InvalidAudio(f"The WAV file has more than {MAX_CHUNKS:,} chunks before its audio.")


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and name.isascii() and name.decode().isprintable()


def _only_chunks(file: BinaryIO, at: int, size: int, order: str) -> bool:
    """Whether nothing but whole chunks follows."""
    for chunk in _chunks(file, at, size, order):
        at = chunk.body + chunk.size
        if not _is_name(chunk.name) or at > size:
            return False
    return size - at <= 1


def _until_next(file: BinaryIO, start: int, size: int) -> int:
    """Bytes to the header of a recording that was joined to this one, or to the end of the file."""
    at = start
    while at < size:
        block = _read(file, at, SEARCH_BYTES)
        found = block.find(b"WAVEfmt ")
        while found >= 8:
            if block[found - 8 : found - 4] in BYTE_ORDERS:
                return at + found - 8 - start
            found = block.find(b"WAVEfmt ", found + 1)
        at += max(1, len(block) - 16)
    return size - start


def _joined(file: BinaryIO, end: int, size: int) -> int | None:
    """Where the next recording begins: behind the samples of this one, or behind a few chunks."""
    order = "<"
    for at in (end, end + 1):
        head = _read(file, at, 12)
        if head[:4] in BYTE_ORDERS and head[8:] == b"WAVE":
            return at
    at = end + end % 2
    for chunk in _chunks(file, at, size, order):
        if chunk.name in BYTE_ORDERS and _read(file, chunk.body, 4) == b"WAVE":
            return chunk.body - 8
        if not _is_name(chunk.name):
            return None
    return None


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
