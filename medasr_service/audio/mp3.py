"""The tags and the count of frames in front of an MP3."""

from typing import BinaryIO

MAX_TAGS = 8  # ID3 tags in a row


def tag_size(head: bytes) -> int:
    """Bytes of the ID3 tag that begins with these ten; 0 where they are none."""
    if head[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))


def announced_frames(file: BinaryIO) -> int:
    """The number of frames that the Xing header of an MP3 announces; 0 where it has none."""
    file.seek(0)
    file.seek(tag_size(file.read(10)))
    frame = file.read(256)
    file.seek(0)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    return int.from_bytes(frame[at + 8 : at + 12]) if at >= 0 and frame[at + 7] & 1 else 0
