"""A short recording of every kind that the service reads, to be mutated."""

import random

import numpy as np

from tests.audio.test_stream import encode, ffmpeg, sound

SECONDS = 0.2
AMR_BYTES = (12, 13, 15, 17, 19, 20, 26, 31)  # of a frame of 20 ms, by its mode

_SNDFILE = [  # format, coding, rate, channels
    ("WAV", "PCM_16", 16_000, 1),
    ("WAV", "PCM_24", 8_000, 2),
    ("WAV", "FLOAT", 8_000, 1),
    ("WAV", "ULAW", 8_000, 1),
    ("WAV", "GSM610", 8_000, 1),
    ("WAVEX", "PCM_16", 8_000, 6),
    ("FLAC", "PCM_16", 16_000, 1),
    ("FLAC", "PCM_24", 8_000, 8),
    ("OGG", "VORBIS", 16_000, 1),
    ("OGG", "OPUS", 48_000, 2),
    ("MP3", "MPEG_LAYER_III", 16_000, 1),
]
_FFMPEG: list[tuple[str, int, list[str]]] = [  # suffix, channels, options
    ("m4a", 1, ["-c:a", "aac"]),
    ("m4a", 8, ["-channel_layout", "7.1", "-c:a", "aac"]),
    ("m4a", 1, ["-c:a", "alac"]),
    ("m4a", 1, ["-c:a", "aac", "-movflags", "+faststart"]),
    ("mp4", 2, ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"]),
    ("webm", 1, ["-c:a", "libopus"]),
    ("webm", 2, ["-c:a", "libvorbis"]),
    ("mka", 1, ["-c:a", "flac"]),
    ("mka", 8, ["-channel_layout", "7.1", "-c:a", "flac"]),
    ("mka", 1, ["-c:a", "pcm_s16le"]),
    ("mka", 1, ["-c:a", "libmp3lame"]),
    ("aac", 1, ["-c:a", "aac"]),
    ("aac", 8, ["-channel_layout", "7.1", "-c:a", "aac"]),
    ("mp3", 1, ["-q:a", "4", "-id3v2_version", "3", "-metadata", "title=sound"]),
    ("mp3", 1, ["-b:a", "32k", "-write_xing", "0"]),
    ("wav", 1, ["-c:a", "adpcm_ima_wav"]),
    ("wav", 1, ["-c:a", "adpcm_ms"]),
    ("ogg", 1, ["-c:a", "flac"]),
]


def make() -> list[bytes]:
    found = [
        encode(sound(SECONDS, rate, channels), rate, kind, coding)
        for kind, coding, rate, channels in _SNDFILE
    ]
    for suffix, channels, options in _FFMPEG:
        rate = 16_000
        samples = sound(SECONDS, rate)
        if channels > 1:
            samples = np.repeat(samples[:, None], channels, axis=1)
        for piped in (False, True) if suffix in ("mka", "webm", "mp3", "ogg") else (False,):
            found.append(ffmpeg(encode(samples, rate), suffix, *options, piped=piped))
    mono, stereo = (encode(sound(SECONDS, 48_000, n), 48_000, "OGG", "VORBIS") for n in (1, 2))
    return [*found, mono + stereo, _amr()]


def _amr() -> bytes:
    """Frames of any bits are sound: no encoder is needed."""
    dice = random.Random(3)
    frames = [bytes([mode << 3 | 4]) + dice.randbytes(size) for mode, size in enumerate(AMR_BYTES)]
    return b"#!AMR\n" + b"".join(frames * 3)
