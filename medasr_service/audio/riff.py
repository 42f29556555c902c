"""The chunks of a RIFF file: 4 bytes name, 4 bytes size, its bytes, and one more where these are odd."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from medasr_service.errors import InvalidAudio

MAX_CHUNKS = 1_000  # of a WAV; real ones have a handful
BYTE_ORDERS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
SEARCH_BYTES = 1 << 20
_BEGINS = re.compile(rb"(?:RIFF|RIFX|RF64|BW64)[\0-\xff]{4}WAVE[ -~]{4}")


@dataclass(frozen=True, slots=True)
class Chunk:
    name: bytes
    body: int
    size: int


def chunks(file: BinaryIO, at: int, order: str) -> Iterator[Chunk]:
    """From ``at`` to the end of the file, whatever their names; one byte of padding may lack."""
    for _ in range(MAX_CHUNKS):
        head = read(file, at, 8)
        if len(head) < 8:
            return
        name, length = struct.unpack(f"{order}4sI", head)
        yield Chunk(name, at + 8, length)
        at += 8 + length
        if length % 2 and not (is_name(read(file, at, 4)) and not is_name(read(file, at + 1, 4))):
            at += 1
    raise InvalidAudio(f"The WAV file has more than {MAX_CHUNKS:,} chunks before its audio.")


def is_name(name: bytes) -> bool:
    return len(name) == 4 and name.isascii() and name.decode().isprintable()


def next_recording(file: BinaryIO, at: int, size: int) -> int:
    """Where the header of a recording that was joined to this one stands, or the file ends."""
    while at < size:
        block = read(file, at, SEARCH_BYTES)
        if found := _BEGINS.search(block):
            return at + found.start()
        at += max(1, len(block) - 16)
    return size


def read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
