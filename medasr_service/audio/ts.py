"""The packets of an MPEG transport stream (ISO/IEC 13818-1, 2.4.3), to tell whether all of them are there.

Each has 188 bytes, in recordings of cameras 4 more in front of them, and counts its own kind up to 15.
"""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MARK, SIZE = 0x47, 188
EMPTY = 0x1FFF  # the kind that only fills
LEAST = 3  # marks in their places tell a stream from other bytes
PACKETS = 1 << 13  # looked at together


def shape(file: BinaryIO) -> tuple[int, int] | None:
    """Bytes from packet to packet, and where the mark of the first is; None where it is no such stream."""
    file.seek(0)
    head = file.read(LEAST * (SIZE + 4))
    for size, first in ((SIZE, 0), (SIZE + 4, 4)):
        marks = head[first::size][:LEAST]
        if marks and not marks.strip(bytes([MARK])) and (len(marks) == LEAST or len(head) < LEAST * size):
            return size, first
    return None


def damage(file: BinaryIO, size: int, first: int) -> str:
    """Why a part of it is sure to be missing; nothing where it is not."""
    last: dict[int, int] = {}
    file.seek(0)
    while block := file.read(PACKETS * size):
        if len(block) % size:
            return "the file ends inside a packet"
        packets = np.frombuffer(block, np.uint8).reshape(-1, size)[:, first:]
        if (packets[:, 0] != MARK).any():
            return "what stands there is no packet"
        if not _follow(packets, last):
            return "packets are missing"
    return ""


def _follow(packets: NDArray[np.uint8], last: dict[int, int]) -> bool:
    """Whether each kind counts on; ``last`` is the last number of each before them, and is brought on."""
    kinds = (packets[:, 1] & 0x1F).astype(np.int32) << 8 | packets[:, 2]
    control, numbers = packets[:, 3] >> 4, (packets[:, 3] & 15).astype(np.int32)
    has_sound = (control & 1) != 0  # others do not count
    begins_anew = ((control & 2) != 0) & (packets[:, 4] > 0) & ((packets[:, 5] & 0x80) != 0)
    for kind in np.unique(kinds):
        chosen = (kinds == kind) & has_sound
        if kind == EMPTY or not chosen.any():
            continue
        own = numbers[chosen]
        steps = np.diff(own, prepend=last.get(int(kind), (own[0] - 1) & 15)) & 15
        if ((steps > 1) & ~begins_anew[chosen]).any():  # one may be sent twice
            return False
        last[int(kind)] = int(own[-1])
    return True
