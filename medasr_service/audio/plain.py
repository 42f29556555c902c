"""16-bit PCM in a WAV as nearly all programs write it: known chunks, then samples to the end of the file.

There is nothing to decode, and no library sees a byte of it; what is odd in any way is left to libsndfile.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from medasr_service.audio import limits
from medasr_service.audio.limits import Check
from medasr_service.audio.pieces import Piece

HEAD_BYTES = 4_096  # in which the samples must begin
MAX_CHUNKS = 8
PCM, WIDTH = 1, 2  # bytes of a sample
HEADER, CHUNK, FORMAT = struct.Struct("<4sI4s"), struct.Struct("<4sI"), struct.Struct("<HHIIHH")


@dataclass(frozen=True, slots=True)
class Samples:
    """Where they start in the file, whose end is theirs."""

    start: int
    channels: int
    rate: int


def survey(file: BinaryIO) -> Samples | None:
    """None where the file is anything else; leaves it at its start."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if len(head) < HEADER.size or HEADER.unpack_from(head)[::2] != (b"RIFF", b"WAVE"):
        return None
    at, found = HEADER.size, None
    for _ in range(MAX_CHUNKS):
        if at + CHUNK.size > len(head):
            return None
        name, length = CHUNK.unpack_from(head, at)
        at += CHUNK.size
        if name == b"data":
            whole = found is not None and 0 < length == size - at and length % (WIDTH * found.channels) == 0
            return Samples(at, found.channels, found.rate) if found and whole else None
        if name == b"fmt ":
            found = _format(head[at : at + length]) if found is None else None
            if found is None:
                return None
        elif name != b"LIST" or length % 2:
            return None
        at += length
    return None


def _format(form: bytes) -> Samples | None:
    if len(form) != FORMAT.size:
        return None
    coding, channels, rate, bytes_per_s, align, bits = FORMAT.unpack(form)
    frame = WIDTH * channels
    if (coding, align, bits, bytes_per_s) != (PCM, frame, 8 * WIDTH, rate * frame) or not channels:
        return None
    return Samples(0, channels, rate)


def decode(file: BinaryIO, samples: Samples, check: Check) -> Iterator[Piece]:
    """As libsndfile would, to the last bit."""
    frame = WIDTH * samples.channels
    check(samples.rate, samples.channels, (file.seek(0, 2) - samples.start) / frame / samples.rate)
    file.seek(samples.start)
    while data := file.read(max(1, limits.BLOCK_VALUES // samples.channels) * frame):
        block = np.frombuffer(data[: len(data) - len(data) % frame], "<i2").astype(np.float32)
        block *= np.float32(1 / (1 << 15))
        yield block.reshape(-1, samples.channels), samples.rate
