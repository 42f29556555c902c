"""Recordings through lossy codecs, as telephones, browsers and recorders send them.

The bytes are a whole file of the codec's usual container, encoded by FFmpeg's libraries in this process
and decoded by the audio path of the service: a recording comes back as the service would hear it.
"""

import io
from dataclasses import dataclass
from random import Random

import av
import numpy as np

from medasr_service.audio import stream
from training.voices import SAMPLE_RATE, Waveform

LONGEST_S = 600.0


@dataclass(frozen=True)
class Codec:
    """How a recording is sent: FFmpeg's encoder and container, samples a second, and bits a second.

    `bit_rates` are those that training draws from; `bit_rate` is the one that is measured.
    """

    name: str
    encoder: str
    container: str
    rate_hz: int
    bit_rate: int
    bit_rates: tuple[int, ...]


MP3 = Codec("MP3", "libmp3lame", "mp3", 16_000, 24_000, (16_000, 24_000, 24_000, 32_000, 40_000, 64_000))
AAC = Codec("AAC", "aac", "mp4", 16_000, 24_000, (16_000, 20_000, 24_000, 24_000, 32_000, 48_000))
OPUS = Codec("Opus", "libopus", "ogg", 16_000, 16_000, (10_000, 12_000, 16_000, 16_000, 24_000, 32_000))
AMR = Codec("AMR", "libopencore_amrnb", "amr", 8_000, 12_200, (7_950, 10_200, 12_200, 12_200))
MU_LAW = Codec("G.711 mu-law", "pcm_mulaw", "wav", 8_000, 64_000, (64_000,))
A_LAW = Codec("G.711 A-law", "pcm_alaw", "wav", 8_000, 64_000, (64_000,))

MEASURED = (MP3, AAC, OPUS, AMR, MU_LAW)
SHARES = {MP3: 0.32, AAC: 0.20, OPUS: 0.14, AMR: 0.16, MU_LAW: 0.12, A_LAW: 0.06}  # of what training sends


def encode(waveform: Waveform, codec: Codec, bit_rate: int) -> bytes:
    """A file of the codec with the recording's mono samples at 16 kHz in it."""
    file = io.BytesIO()
    samples = np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    with av.open(file, "w", format=codec.container) as container:
        track = container.add_stream(codec.encoder, rate=codec.rate_hz, layout="mono")
        assert isinstance(track, av.AudioStream)
        track.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        resampler = av.AudioResampler(track.format.name, "mono", codec.rate_hz, track.frame_size or 0)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(track.encode(part))
        container.mux(track.encode(None))
    return file.getvalue()


def through(waveform: Waveform, codec: Codec, bit_rate: int | None = None) -> Waveform:
    """What the service hears of the recording: as many samples as before, at 16 kHz."""
    data = io.BytesIO(encode(waveform, codec, bit_rate or codec.bit_rate))
    blocks = stream.stream(data, gain=1.0, max_duration_s=LONGEST_S, max_channels=1)
    heard = np.concatenate([np.zeros(0, np.float32), *blocks])
    heard.resize(len(waveform), refcheck=False)  # encoders fill up their last frame
    return heard


def send(waveform: Waveform, rng: Random) -> Waveform:
    """The recording through a codec and a bit rate drawn at random."""
    codec = rng.choices(list(SHARES), list(SHARES.values()))[0]
    return through(waveform, codec, rng.choice(codec.bit_rates))
