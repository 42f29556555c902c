"""Recordings of every kind to mono float32 at 16 kHz; the reference is librosa.load(sr=16000)."""

import asyncio
import io
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import soxr
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from medasr_service.audio import limits
from medasr_service.audio import stream as audio
from medasr_service.audio.stream import SAMPLE_RATE, AudioInfo
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.errors import AudioTooLong
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Options, Transcriber
from tests.conftest import ROOT, SAMPLE, require

ROUNDING_SAMPLES = 1  # a resampler may round the length of its output up or down
RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]

LOSSLESS = {  # format and coding: the largest error of a sample that the coding makes
    ("WAV", "PCM_U8"): 2**-7,
    ("WAV", "PCM_16"): 2**-15,
    ("WAV", "PCM_24"): 2**-23,
    ("WAV", "PCM_32"): 2**-23,  # float32 has 24 bits
    ("WAV", "FLOAT"): 0.0,
    ("WAV", "DOUBLE"): 0.0,
    ("WAV", "ULAW"): 2**-5,  # steps grow with the level: 1/32 at full scale
    ("WAV", "ALAW"): 2**-5,
    ("FLAC", "PCM_16"): 2**-15,
    ("FLAC", "PCM_24"): 2**-23,
}
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]

FFMPEG = {  # what the ffmpeg command makes: file suffix, options
    "M4A with AAC": ("m4a", ["-c:a", "aac"]),
    "M4A with the index in front": ("m4a", ["-c:a", "aac", "-movflags", "+faststart"]),
    "M4A in fragments": ("m4a", ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"]),
    "MP4 with AAC": ("mp4", ["-c:a", "aac"]),
    "WebM with Opus": ("webm", ["-c:a", "libopus"]),
    "WebM with Vorbis": ("webm", ["-c:a", "libvorbis"]),
    "Matroska with FLAC": ("mka", ["-c:a", "flac"]),
    "AAC without container": ("aac", ["-c:a", "aac"]),
}
MP3 = {  # how MP3 is found: with a count of its frames in front, or without
    "constant rate": ["-b:a", "64k"],
    "variable rate": ["-q:a", "4"],
    "constant rate, no count": ["-b:a", "64k", "-write_xing", "0"],
    "variable rate, no count": ["-q:a", "4", "-write_xing", "0"],
}


def encode(
    samples: NDArray[Any], rate: int = SAMPLE_RATE, kind: str = "WAV", coding: str = "PCM_16"
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=coding)
    return file.getvalue()


def ffmpeg(source: bytes, suffix: str, *options: str, piped: bool = False) -> bytes:
    """What the ffmpeg command makes of a WAV; piped, it cannot go back to write lengths and counts."""
    require("ffmpeg")
    with TemporaryDirectory() as folder:
        target = Path(folder) / f"made.{suffix}"
        to = ["-f", {"mka": "matroska", "aac": "adts"}.get(suffix, suffix), "pipe:1"]
        command = ["ffmpeg", "-v", "error", "-i", "pipe:0", *options, *(to if piped else [str(target)])]
        made = subprocess.run(command, input=source, capture_output=True, check=True)
        return made.stdout if piped else target.read_bytes()


def sound(seconds: float = 1.5, rate: int = SAMPLE_RATE, channels: int = 1) -> NDArray[np.float64]:
    """A sweep of 100 to 3,400 Hz with a little noise, at another level on each channel."""
    at = np.arange(round(seconds * rate)) / rate
    sweep = np.sin(2 * np.pi * (100 * at + 3_300 * at**2 / (2 * seconds)))
    mono = 0.5 * sweep + 0.01 * np.random.default_rng(3).standard_normal(len(at))
    levels = 1 / np.arange(1, channels + 1)
    return mono if channels == 1 else mono[:, None] * levels


def inspect(data: bytes, *, max_duration_s: float = 10_800) -> AudioInfo:
    return audio.inspect(io.BytesIO(data), max_duration_s=max_duration_s, max_channels=8)


def decode(data: bytes, *, gain: float = 1.0) -> Waveform:
    blocks = audio.stream(io.BytesIO(data), gain=gain, max_duration_s=10_800, max_channels=8)
    return np.concatenate(list(blocks))


def reference(data: bytes) -> Waveform:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what librosa imports at its first use
        samples: Waveform = librosa.load(io.BytesIO(data), sr=SAMPLE_RATE)[0]
    return samples


def assert_same(ours: Waveform, theirs: Waveform) -> None:
    """Equal but for rounding: streaming and one-shot resampling differ by less than float32 can hold."""
    assert ours.dtype == np.float32
    assert abs(len(ours) - len(theirs)) <= ROUNDING_SAMPLES
    both = min(len(ours), len(theirs))
    np.testing.assert_allclose(ours[:both], theirs[:both], rtol=0, atol=1e-5)


def likeness(ours: Waveform, theirs: Waveform) -> float:
    """The correlation where the two fit best; a codec may put silence in front."""
    size = 1 << (len(ours) + len(theirs)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(ours, size) * np.conj(np.fft.rfft(theirs, size)))
    ours = ours[correlation[:4_096].argmax() :]
    both = min(len(ours), len(theirs)) - 64  # but for the edge of the last frame
    return float(np.corrcoef(ours[:both], theirs[:both])[0, 1])


@pytest.mark.parametrize(("kind", "coding"), LOSSLESS)
def test_a_lossless_format_gives_the_samples_that_went_in(kind: str, coding: str) -> None:
    original = sound()
    ours = decode(encode(original, kind=kind, coding=coding))
    np.testing.assert_allclose(ours, original, rtol=0, atol=LOSSLESS[kind, coding] + 2**-24)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("kind", "coding"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24")])
def test_every_rate_is_resampled_as_librosa_does(kind: str, coding: str, rate: int) -> None:
    data = encode(sound(rate=rate), rate, kind, coding)
    assert_same(decode(data), reference(data))


@pytest.mark.parametrize("rate", [8_000, 44_100])
@pytest.mark.parametrize(("kind", "coding"), LOSSLESS)
def test_every_coding_is_read_as_librosa_does(kind: str, coding: str, rate: int) -> None:
    data = encode(sound(rate=rate), rate, kind, coding)
    assert_same(decode(data), reference(data))


@pytest.mark.parametrize("channels", [2, 6])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_channels_are_averaged_as_librosa_does(channels: int, rate: int) -> None:
    data = encode(sound(rate=rate, channels=channels), rate, coding="FLOAT")
    assert_same(decode(data), reference(data))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("kind", "coding"), LOSSY)
def test_a_lossy_format_is_read_as_librosa_does(kind: str, coding: str, channels: int) -> None:
    data = encode(sound(rate=48_000, channels=channels), 48_000, kind, coding)
    ours = decode(data)
    assert_same(ours, reference(data))
    assert likeness(ours, sound().astype(np.float32)) > 0.99


@pytest.mark.parametrize("name", FFMPEG)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_format_of_ffmpeg_gives_the_sound_that_went_in(name: str, channels: int) -> None:
    suffix, options = FFMPEG[name]
    # AAC puts 1,024 samples in front: at this rate, whole samples of 16 kHz
    original = sound(rate=32_000, channels=channels)
    data = ffmpeg(encode(original, 32_000), suffix, *options)
    ours = decode(data)
    assert likeness(ours, reference(encode(original, 32_000))) > 0.99
    assert len(ours) == pytest.approx(1.5 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)  # AAC pads with whole frames


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_an_m4a_is_read_as_the_ffmpeg_command_reads_it(rate: int) -> None:
    data = ffmpeg(encode(sound(rate=rate), rate), "m4a", "-c:a", "aac")
    theirs = reference(ffmpeg(data, "wav", "-c:a", "pcm_f32le"))
    ours = decode(data)
    assert len(ours) == pytest.approx(len(theirs), abs=0.07 * SAMPLE_RATE)  # the last frame's padding
    both = min(len(ours), len(theirs))
    np.testing.assert_allclose(ours[: both - 512], theirs[: both - 512], atol=1e-4)


@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize("name", MP3)
def test_an_mp3_is_heard_to_its_end(name: str, piped: bool) -> None:
    data = ffmpeg(encode(sound(3.0)), "mp3", *MP3[name], piped=piped)
    assert inspect(data).duration == pytest.approx(3.0, abs=0.15)
    assert likeness(decode(data), sound(3.0).astype(np.float32)) > 0.98


@pytest.mark.parametrize("suffix", ["flac", "ogg", "webm", "mka", "aac"])
def test_what_ffmpeg_writes_to_a_pipe_is_heard_to_its_end(suffix: str) -> None:
    data = ffmpeg(encode(sound(3.0)), suffix, piped=True)
    assert inspect(data).duration == pytest.approx(3.0, abs=0.15)


def test_the_sound_of_a_video_is_taken() -> None:
    video = ["-f", "lavfi", "-i", "color=s=16x16:d=1.5", "-c:v", "mpeg4", "-c:a", "aac"]
    assert inspect(ffmpeg(encode(sound()), "mp4", *video)).duration == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("block_values", [1_000, 4_410])
def test_a_stream_of_blocks_equals_resampling_at_once(
    monkeypatch: pytest.MonkeyPatch, rate: int, block_values: int
) -> None:
    monkeypatch.setattr(limits, "BLOCK_VALUES", block_values)
    original = sound(rate=rate).astype(np.float32)
    assert_same(decode(encode(original, rate, coding="FLOAT")), soxr.resample(original, rate, SAMPLE_RATE))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.1001, 1.0, 1.5003])
def test_the_length_of_the_stream_is_the_duration(rate: int, seconds: float) -> None:
    data = encode(sound(seconds, rate), rate)
    duration = inspect(data).duration
    assert duration == round(seconds * rate) / rate
    assert abs(len(decode(data)) - duration * SAMPLE_RATE) <= ROUNDING_SAMPLES


@pytest.mark.parametrize("name", FFMPEG)
def test_the_length_of_a_stream_of_ffmpeg_is_the_duration(name: str) -> None:
    suffix, options = FFMPEG[name]
    data = ffmpeg(encode(sound(rate=44_100), 44_100), suffix, *options)
    assert abs(len(decode(data)) - inspect(data).duration * SAMPLE_RATE) <= ROUNDING_SAMPLES


@pytest.mark.parametrize("name", FFMPEG)
def test_packets_are_gathered_into_blocks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Or the windows would be put together packet by packet, each time copying all that they hold."""
    suffix, options = FFMPEG[name]
    data = ffmpeg(encode(sound(3.0)), suffix, *options)
    monkeypatch.setattr(limits, "BLOCK_VALUES", 10_000)
    blocks = [len(b) for b in audio.stream(io.BytesIO(data), gain=1.0, max_duration_s=60, max_channels=1)]
    assert sum(blocks) == len(decode(data))
    assert len(blocks) <= 16


def test_a_recording_is_read_from_its_start_wherever_the_file_stands() -> None:
    file = io.BytesIO(encode(sound()))
    file.seek(0, io.SEEK_END)
    info = audio.inspect(file, max_duration_s=10, max_channels=1)
    blocks = audio.stream(file, gain=1.0, max_duration_s=10, max_channels=1)
    assert sum(map(len, blocks)) == info.duration * SAMPLE_RATE


def test_the_limit_of_the_duration_is_itself_allowed() -> None:
    data = encode(sound(1.0))
    assert inspect(data, max_duration_s=1.0).duration == 1.0
    with pytest.raises(AudioTooLong, match="longer than 1 s"):
        inspect(data, max_duration_s=0.9999)


def _peak_bytes(work: Callable[[], object]) -> int:
    work()  # first use fills caches
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _dictation(minutes: int, kind: str) -> io.BytesIO:
    """A long file at 8 kHz, made in blocks, with a quiet hum."""
    file = io.BytesIO()
    hum = (1_000 * np.sin(np.arange(480_000) * 2 * np.pi * 200 / 8_000)).astype(np.int16)
    with soundfile.SoundFile(file, "w", 8_000, 1, "PCM_16", format=kind) as target:
        for _ in range(minutes):
            target.write(hum)
    return file


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_decoding_thirty_minutes_takes_no_more_memory_than_one(kind: str) -> None:
    def peak(file: io.BytesIO) -> int:
        def work() -> None:
            audio.inspect(file, max_duration_s=10_800, max_channels=8)
            for _ in audio.stream(file, gain=2.0, max_duration_s=10_800, max_channels=8):
                pass

        return _peak_bytes(work)

    short, long = peak(_dictation(1, kind)), peak(_dictation(30, kind))
    assert long < 1.1 * short + 100_000
    assert long < 30 * 60 * 8_000 * 4 / 10  # a tenth of the waveform


@pytest.mark.parametrize("speaker", ["silent", "pausing", "breathless"])
def test_transcribing_ten_minutes_takes_no_more_memory_than_two(
    vocabulary: Vocabulary, geometry: FrameGeometry, speaker: str
) -> None:
    word = next(i for i, piece in enumerate(vocabulary.pieces) if piece.startswith("▁") and len(piece) > 3)
    spacing = {"silent": 0, "pausing": 50, "breathless": 8}[speaker]  # frames from word to word

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        [waveform] = waveforms
        emission = np.full((geometry.frames(len(waveform)), len(vocabulary.pieces)), -20, np.float32)
        emission[:, vocabulary.blank] = -1e-3
        if spacing:
            emission[::spacing, word], emission[::spacing, vocabulary.blank] = -1e-3, -20
        return [emission]

    transcriber = Transcriber(infer, vocabulary, geometry, Settings())
    options = Options(chunk_length_s=20, stride_length_s=2, formatting="dictation")

    def peak(minutes: int) -> int:
        file = _dictation(minutes, "WAV")

        async def work() -> None:
            info = await transcriber.inspect(file)
            segments = [len(segment.text) async for segment in transcriber.stream(file, info, options)]
            assert bool(segments) == bool(spacing)

        return _peak_bytes(lambda: asyncio.run(work()))

    assert peak(10) < 1.1 * peak(2) + 500_000


@pytest.mark.parametrize(
    ("peak", "gain"),
    [
        (0.0, 1.0),  # digital silence
        (0.01, 30.0),  # the cap
        (0.05, 19.0),
        (0.08, 11.875),
        (0.1, 1.0),  # loud enough
        (0.9, 1.0),
        (1.0, 1.0),
    ],
)
def test_a_quiet_recording_is_brought_up_to_the_peak(peak: float, gain: float) -> None:
    tone = peak * np.sin(2 * np.pi * 250 * np.arange(16_000) / 16_000)  # 250 Hz: samples fall on the peaks
    data = encode(tone, coding="FLOAT")
    found = inspect(data).gain(max_gain=30)
    assert found == pytest.approx(gain, rel=1e-4)
    assert np.abs(decode(data, gain=found)).max() == pytest.approx(peak * gain, rel=1e-4)


def test_the_peak_is_that_of_the_whole_recording() -> None:
    samples = np.full(40 * SAMPLE_RATE, 0.01)
    samples[-1] = -0.6
    assert inspect(encode(samples, coding="FLOAT")).peak == pytest.approx(0.6)


def test_the_peak_is_that_of_the_mix_of_all_channels() -> None:
    samples = np.stack((np.full(SAMPLE_RATE, 0.8), np.full(SAMPLE_RATE, -0.6)), axis=1)
    assert inspect(encode(samples, coding="FLOAT")).peak == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "gain"),
    [({}, 19.0), ({"normalize": False}, 1.0), ({"max_gain": 3.0}, 3.0)],
    ids=["default", "off", "cap"],
)
def test_the_gain_is_recorded_in_verbose_json(
    make_client: Callable[..., TestClient], settings: dict[str, Any], gain: float
) -> None:
    speech = soundfile.read(SAMPLE, frames=3 * SAMPLE_RATE)[0]
    quiet = encode(0.05 * speech / np.abs(speech).max(), coding="FLOAT")
    response = make_client(**settings).post(
        "/v1/audio/transcriptions",
        files={"file": ("quiet.wav", quiet)},
        data={"response_format": "verbose_json"},
    )
    assert response.status_code == 200, response.text
    assert response.json()["gain"] == pytest.approx(gain, rel=1e-3)


@pytest.mark.parametrize("module", ["medasr_service.api.app", "medasr_service.transcriber", "service"])
def test_the_entry_process_loads_neither_torch_nor_librosa(module: str) -> None:
    heavy = ["torch", "transformers", "librosa", "numba"]
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
