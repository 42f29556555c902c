"""What the boxes of an MP4 announce, be it ever so odd."""

import io
import struct

import pytest

from medasr_service.audio import mp4

HEAD = struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0)


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("name", [b"free", b"mdat", b"moof"])
def test_a_box_of_any_size_ends_with_the_file(size: int, name: bytes) -> None:
    """Behind it nothing is sought: a file knows no place behind 2^63."""
    data = HEAD + struct.pack(">I4sQ", 1, name, size) + bytes(100)
    (part,) = mp4.survey(io.BytesIO(data))
    assert part.stretches == ((0, len(data)),)
    assert "announces" in part.cut_off


def test_what_stands_in_for_lost_bytes_takes_few_pieces() -> None:
    """A fragment that says it was far behind, as often as places may be lost: it asks for gigabytes."""
    where = struct.pack(">I4sIIQ", 24, b"tfhd", 1, 1, 1 << 40)
    fragment = struct.pack(">I4s", 8 + len(where), b"moof") + where
    (part,) = mp4.survey(io.BytesIO(HEAD + (b"\xff" * 8 + fragment) * mp4.MAX_LOST))
    assert part.damage
    assert len(part.stretches) < 110_000
    held = {id(each): len(each) for each in part.stretches if isinstance(each, bytes)}
    assert sum(held.values()) < 8 << 20
