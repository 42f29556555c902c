"""The tags of an FLV, to tell whether all of it is there: head, body, and 4 bytes with their length."""

from typing import BinaryIO

MAX_TAGS = 2_000_000  # three hours of sound and picture have 1,300,000


def cut_off(file: BinaryIO) -> str:
    """Why its end is sure to be missing; nothing where it is not."""
    size = file.seek(0, 2)
    file.seek(5)
    at = int.from_bytes(file.read(4)) + 4
    for _ in range(MAX_TAGS):
        if at >= size:
            break
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] & 0x1F not in (8, 9, 18):
            return "what stands there is no tag"
        at += 11 + int.from_bytes(head[1:4]) + 4
    return "the file ends inside a tag" if at > size else ""
