"""Plain WAVs are read without a library, and to the bit as with it."""

import io
import struct

import numpy as np
import pytest
import soundfile

from medasr_service.audio import limits, plain
from tests.audio.test_stream import encode, ffmpeg, sound

CHECK = limits.limits(100.0, 8)


@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_every_sample_is_as_libsndfile_has_it(channels: int, rate: int) -> None:
    every = np.resize(np.arange(-32_768, 32_768).astype(np.int16), (70_000, channels))
    file = io.BytesIO(encode(every, rate))
    samples = plain.survey(file)
    assert samples == plain.Samples(44, channels, rate)
    blocks = [piece[0] for piece in plain.decode(file, samples, CHECK) if isinstance(piece, tuple)]
    file.seek(0)
    theirs = soundfile.read(file, dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(np.concatenate(blocks), theirs)


def test_what_ffmpeg_writes_is_plain() -> None:
    """It puts its name in front of the samples."""
    found = plain.survey(io.BytesIO(ffmpeg(encode(sound()), "wav", "-bitexact")))
    assert found == plain.Samples(44, 1, 16_000)
    found = plain.survey(io.BytesIO(ffmpeg(encode(sound()), "wav")))
    assert found
    assert found.start > 44


WAV = encode(sound())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WAV[:43],
        WAV[:44],
        WAV[:-1],
        WAV[:-2],
        WAV + b"x",
        WAV + WAV,
        WAV.replace(b"RIFF", b"RIFX"),
        WAV[:20] + struct.pack("<H", 3) + WAV[22:],
        WAV[:22] + struct.pack("<H", 0) + WAV[24:],
        WAV[:22] + struct.pack("<H", 2) + WAV[24:],
        WAV[:24] + struct.pack("<I", 0) + WAV[28:],
        WAV[:34] + struct.pack("<H", 24) + WAV[36:],
        WAV[:16] + struct.pack("<I", 0xFFFF_FFFF) + WAV[20:],
        WAV[:36] + WAV[12:36] + WAV[36:],
        encode(sound(), 16_000, "WAV", "PCM_24"),
        encode(sound(), 16_000, "WAV", "FLOAT"),
        encode(sound(), 16_000, "FLAC"),
    ],
)
def test_what_is_odd_in_any_way_is_not(data: bytes) -> None:
    assert plain.survey(io.BytesIO(data)) is None
