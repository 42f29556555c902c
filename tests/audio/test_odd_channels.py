"""Recordings whose channels are not as most, or not as their header says."""

import io

import numpy as np
import pytest

from medasr_service.audio import stream as audio
from medasr_service.errors import AudioTooLong, InvalidAudio
from tests.audio.test_stream import decode, encode, ffmpeg, inspect, likeness, sound

SEVEN_ONE = {  # suffix, options
    "M4A with AAC": ("m4a", ["-c:a", "aac"]),
    "AAC without container": ("aac", ["-c:a", "aac"]),
    "WebM with Opus": ("webm", ["-c:a", "libopus", "-mapping_family", "1"]),
    "WebM with Vorbis": ("webm", ["-c:a", "libvorbis"]),
    "Matroska with FLAC": ("mka", ["-c:a", "flac"]),
}


@pytest.mark.parametrize("name", SEVEN_ONE)
def test_the_sound_of_eight_channels_is_heard_as_of_one(name: str) -> None:
    """PyAV reads planes that are not there, if it is let, and with them the process ends."""
    suffix, options = SEVEN_ONE[name]
    original = sound(rate=48_000)
    eight = np.repeat(original[:, None], 8, axis=1)
    data = ffmpeg(encode(eight, 48_000), suffix, "-channel_layout", "7.1", "-b:a", "768k", *options)
    assert inspect(data).duration == pytest.approx(1.5, abs=0.1)
    assert likeness(decode(data), sound().astype(np.float32)) > 0.95


def test_a_stream_that_changes_from_mono_to_stereo_is_heard_to_its_end() -> None:
    parts = [ffmpeg(encode(sound(rate=48_000, channels=n), 48_000), "aac", "-c:a", "aac") for n in (1, 2, 1)]
    data = b"".join(parts)
    assert inspect(data).duration == pytest.approx(4.5, abs=0.2)
    assert len(decode(data)) == pytest.approx(4.5 * 16_000, abs=0.2 * 16_000)


def test_more_channels_than_the_header_says_are_refused() -> None:
    mono, six = (ffmpeg(encode(sound(rate=48_000, channels=n), 48_000), "aac", "-c:a", "aac") for n in (1, 6))
    with pytest.raises(InvalidAudio, match="6 channels; the limit is 4"):
        audio.inspect(io.BytesIO(mono + six), max_duration_s=60, max_channels=4)


@pytest.mark.parametrize("rate", [384_001, 655_350])
def test_a_rate_that_no_recorder_has_is_refused(rate: int) -> None:
    with pytest.raises(InvalidAudio, match="384,000 are taken"):
        inspect(encode(np.zeros(rate // 4), rate))


def test_the_work_is_bounded_before_it_begins() -> None:
    """Eight channels at eight times the usual rate take as long as eight times the seconds."""
    data = encode(np.zeros((192_000, 8)), 192_000, "FLAC")
    assert audio.inspect(io.BytesIO(data), max_duration_s=4, max_channels=8).duration == 1.0
    with pytest.raises(AudioTooLong, match=r"192,000 samples per second in 8 channels; .* is 0.5 s"):
        audio.inspect(io.BytesIO(data), max_duration_s=1.9, max_channels=8)
