"""Chosen stretches of a file, and bytes before or between them, as a file that a library can read."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, BinaryIO, TypeAlias, cast

Stretch: TypeAlias = bytes | tuple[int, int]
"""Bytes as they are, or where they start and end in the file."""


class View(io.RawIOBase):
    """Reads through the file beneath; closing it closes nothing."""

    def __init__(self, file: BinaryIO, stretches: Sequence[Stretch]) -> None:
        self._file = file
        self._stretches = stretches
        self._ends = list(accumulate(_length(stretch) for stretch in stretches))
        self._size = self._ends[-1] if self._ends else 0
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size or not len(buffer):
            return 0
        index = bisect_right(self._ends, self._at)
        stretch, left = self._stretches[index], self._ends[index] - self._at
        inside = _length(stretch) - left
        size = min(left, len(buffer))
        if isinstance(stretch, bytes):
            block = stretch[inside : inside + size]
        else:
            self._file.seek(stretch[0] + inside)
            block = self._file.read(size)
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)


def view(file: BinaryIO, *stretches: Stretch) -> BinaryIO:
    return cast(BinaryIO, View(file, stretches))


def _length(stretch: Stretch) -> int:
    return len(stretch) if isinstance(stretch, bytes) else stretch[1] - stretch[0]
