"""Whatever a decoder raises at a recording refuses the recording."""

import errno
import io
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from medasr_service.audio.guard import guarded
from medasr_service.errors import EmptyAudio, InvalidAudio
from tests.audio.test_stream import encode, ffmpeg, inspect, sound


def raising(error: Exception) -> Iterator[int]:
    @guarded
    def decode() -> Iterator[int]:
        yield 1
        raise error

    return decode()


@pytest.mark.parametrize(
    "error", [ValueError("x"), OverflowError(), KeyError(), TypeError(), AssertionError(), OSError(22, "x")]
)
def test_an_error_that_no_one_thought_of_is_a_refusal(error: Exception) -> None:
    blocks = raising(error)
    assert next(blocks) == 1
    with pytest.raises(InvalidAudio, match="decoder cannot make sense of it"):
        next(blocks)


@pytest.mark.parametrize(
    "error",
    [
        EmptyAudio("The file is empty."),
        ImportError(),
        MemoryError(),
        OSError(errno.EIO, "x"),
        PermissionError(errno.EPERM, "x"),
    ],
)
def test_an_error_that_is_no_fault_of_the_bytes_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(raising(error))


@pytest.mark.parametrize("size", [0, 1, 5, 15, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("name", [b"free", b"moov", b"mdat"])
def test_a_box_of_any_64_bit_size_is_read_or_refused(size: int, name: bytes) -> None:
    whole = ffmpeg(encode(sound()), "m4a", "-c:a", "aac")
    first = struct.unpack(">I", whole[:4])[0]
    odd = whole[:first] + struct.pack(">I4sQ", 1, name, size) + whole[first:]
    with suppress(InvalidAudio):
        assert inspect(odd).duration == pytest.approx(1.5, abs=0.1)


def test_bytes_behind_a_name_of_a_container_are_refused() -> None:
    for head in (b"\0\0\0\x20ftyp", b"\x1aE\xdf\xa3", b"\xff\xf1", b"OggS", b"RIFF", b"fLaC", b"ID3"):
        with pytest.raises(InvalidAudio):
            inspect(io.BytesIO(head + bytes(range(256))).getvalue())
