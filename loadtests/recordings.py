"""What the users of the load test send: the bundled recordings, cut and joined in memory, mixed formats."""

import io
from dataclasses import dataclass
from functools import cached_property

import av
import numpy as np
import soundfile

from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Waveform

RATE = 16_000
PAUSE_S = 0.3
BOUNDARY = "a-boundary-that-no-recording-holds"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FIVE_SECONDS = "5 s"
FORMATS = {  # the file's suffix, and what libsndfile calls it
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
CONTAINERS = {  # those that FFmpeg has to decode, what it calls them, and the coding
    "m4a": ("ipod", "aac"),
    "webm": ("webm", "libopus"),
    "aac": ("adts", "aac"),
    "ts": ("mpegts", "aac"),
    "avi": ("avi", "libmp3lame"),
    "aiff": ("aiff", "pcm_s16be"),
}
LENGTHS_S = (3, 5, 5, 8, 5, 12, 20, 5, 35, 60)  # what a dictation app sends; the next format for each
LONG_S = 300


@dataclass(frozen=True)
class Recording:
    """A file to send; ``name`` is its length, under which Locust reports it, ``key`` is its own."""

    name: str
    key: str
    suffix: str
    data: bytes
    seconds: float

    @cached_property
    def body(self) -> bytes:
        """A multipart form that asks for what the model wrote, letter by letter."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
        formatting = f'{head}formatting"\r\n\r\nraw\r\n'
        file = f'{head}file"; filename="dictation.{self.suffix}"\r\n\r\n'
        return formatting.encode() + file.encode() + self.data + f"\r\n--{BOUNDARY}--\r\n".encode()


def speech(seconds: float, start: int = 0) -> Waveform:
    """Bundled recordings from number ``start`` on, joined with pauses and cut; float32 at 16 kHz."""
    clips = sorted((DEMO_FOLDER / "clips").glob("*.flac"))
    length, at = round(seconds * RATE), start
    parts: list[Waveform] = []
    while sum(map(len, parts)) < length:
        parts += [soundfile.read(clips[at % len(clips)], dtype="float32")[0]]
        parts += [np.zeros(round(PAUSE_S * RATE), np.float32)]
        at += 1
    return np.concatenate(parts)[:length]


def encoded(seconds: float, suffix: str, start: int = 0) -> Recording:
    samples = speech(seconds, start)
    data = _by_libsndfile(samples, suffix) if suffix in FORMATS else _by_ffmpeg(samples, suffix)
    name = f"{seconds:g} s"
    return Recording(name, f"{name} from clip {start} as {suffix}", suffix, data, seconds)


def _by_libsndfile(samples: Waveform, suffix: str) -> bytes:
    kind, coding = FORMATS[suffix]
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=coding)
    return file.getvalue()


def _by_ffmpeg(samples: Waveform, suffix: str) -> bytes:
    kind, coding = CONTAINERS[suffix]
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        track = container.add_stream(coding, rate=48_000 if coding == "libopus" else RATE, layout="mono")
        assert isinstance(track, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        for each in (frame, None):
            container.mux(track.encode(each))
    return file.getvalue()


def dictations() -> list[Recording]:
    """Each length in a format of its own."""
    suffixes = list(FORMATS)
    return [encoded(s, suffixes[i % len(suffixes)], start=i) for i, s in enumerate(LENGTHS_S)]


def of_all_kinds() -> list[Recording]:
    """These, and a short one of each kind that another library decodes."""
    return [*dictations(), *(encoded(6, suffix, start=i) for i, suffix in enumerate(CONTAINERS))]


def long_file() -> Recording:
    return encoded(LONG_S, "flac")
