"""Recordings of any common kind to mono float32 at 16 kHz, as a stream.

A recording is read twice. ``inspect`` decodes it once and refuses what is broken, empty or too long, before
the model sees any of it, and finds the peak that normalisation needs. ``stream`` decodes it again, mixes
down, resamples and amplifies, block by block: memory does not grow with the length.

libsndfile decodes WAV, FLAC and OGG; FFmpeg (PyAV) decodes MP3, MP4/M4A, WebM/Matroska, raw AAC, FLAC of
unknown length, and OGG with several streams or other codings than Vorbis and Opus. FFmpeg is only ever told
the one container that the first bytes show: left to guess, it would also open playlists, which name other
files and hosts.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, TypeAlias, cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from medasr_service.audio import mp4, ogg
from medasr_service.errors import (
    AudioTooLong,
    EmptyAudio,
    InvalidAudio,
    TruncatedAudio,
    UnsupportedAudio,
)
from medasr_service.model.geometry import Waveform

SAMPLE_RATE = 16_000
MIN_DURATION_S = 0.1  # OpenAI's limit
MIN_RATE, MAX_RATE = 4_000, 768_000
BLOCK_VALUES = 1 << 17  # samples x channels decoded at a time: 0.5 MB
PEAK = 0.95  # what a quiet recording is brought up to
MAX_PEAK = 1e6  # beyond, arithmetic on the samples overflows
QUIET_PEAK = 0.1  # below this (-20 dBFS) a recording counts as quiet; above, it stays as it is
MAX_CHUNKS = 1_000  # of a WAV before its samples; real ones have a handful
MAX_TAGS = 8  # ID3 tags in a row

Block: TypeAlias = NDArray[np.float32]
"""Samples as decoded, shape [samples, channels]."""

_FFMPEG_CONTAINERS: tuple[tuple[int, bytes, str], ...] = (  # offset, magic bytes, FFmpeg's name
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
)


_BYTE_ORDERS = {b"RIFF": "<", b"RIFX": ">"}


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What ``inspect`` found: ``duration`` in seconds, ``peak`` of the mono mix in full scale."""

    duration: float
    peak: float

    def gain(self, *, max_gain: float) -> float:
        """The factor that brings a quiet recording up to PEAK; 1 for any other, and for digital silence."""
        if not 0 < self.peak < QUIET_PEAK:
            return 1.0
        return min(PEAK / self.peak, max_gain)


def inspect(file: BinaryIO, *, max_duration_s: float, max_channels: int) -> AudioInfo:
    """Decodes the whole recording once, keeping nothing.

    Raises EmptyAudio, TruncatedAudio, AudioTooLong, UnsupportedAudio or InvalidAudio.
    """
    samples, rate, peak = 0, SAMPLE_RATE, 0.0
    for block, rate in _decode(file, max_duration_s=max_duration_s, max_channels=max_channels):
        mono = block.mean(axis=1)
        if not np.isfinite(mono).all():
            raise InvalidAudio("The recording holds samples that are not numbers (NaN or infinity).")
        samples += len(mono)
        peak = max(peak, float(np.abs(mono).max(initial=0.0)))
        if peak > MAX_PEAK:
            raise InvalidAudio("The recording holds samples far beyond full scale.")
        _check_duration(samples / rate, max_duration_s)
    if not samples:
        raise EmptyAudio("The recording holds no audio.")
    if samples / rate < MIN_DURATION_S:
        raise InvalidAudio(
            f"The recording is {samples / rate:.3f} s long; at least {MIN_DURATION_S} s are needed."
        )
    return AudioInfo(samples / rate, peak)


def stream(file: BinaryIO, *, gain: float, max_duration_s: float, max_channels: int) -> Iterator[Waveform]:
    """Mono blocks at 16 kHz, amplified; run ``inspect`` first. The sum of their lengths is the duration."""
    resampler: soxr.ResampleStream | None = None
    for block, rate in _decode(file, max_duration_s=max_duration_s, max_channels=max_channels):
        mono = block.mean(axis=1, dtype=np.float32) * np.float32(gain)
        if rate == SAMPLE_RATE:
            yield mono
            continue
        resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(mono)
    if resampler:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _check_duration(duration_s: float, limit_s: float) -> None:
    if duration_s > limit_s:
        raise AudioTooLong(f"The recording is longer than {limit_s:,.0f} s, the limit of this service.")


def _decode(file: BinaryIO, *, max_duration_s: float, max_channels: int) -> Iterator[tuple[Block, int]]:
    """Blocks with their sample rate, from the start of the file."""
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if not head:
        raise EmptyAudio("The file is empty.")
    container = next((name for at, magic, name in _FFMPEG_CONTAINERS if head[at:].startswith(magic)), None)
    check = _limits(max_duration_s, max_channels)
    if container is not None:
        if container == "mp4":
            _check_mp4(file)
        yield from _decode_ffmpeg(file, container, check, announced=container != "aac")
    elif head[:4] == ogg.CAPTURE:
        yield from _decode_ogg(file, check)
    elif head[:4] in _BYTE_ORDERS:
        _check_riff(file, _BYTE_ORDERS[head[:4]])
        yield from _decode_sndfile(file, check)
    elif _is_flac_or_mp3(file):
        yield from _decode_sndfile(file, check)
    else:  # libsndfile would walk through the chunks of many other formats
        raise UnsupportedAudio(_NOT_AUDIO)


def _limits(max_duration_s: float, max_channels: int) -> Callable[[int, int, float], None]:
    def check(rate: int, channels: int, duration_s: float) -> None:
        if not 1 <= channels <= max_channels:
            raise InvalidAudio(f"The recording has {channels} channels; the limit is {max_channels}.")
        if not MIN_RATE <= rate <= MAX_RATE:
            raise InvalidAudio(
                f"The recording has {rate:,} samples per second; {MIN_RATE:,} to {MAX_RATE:,} are taken."
            )
        _check_duration(duration_s, max_duration_s)

    return check


def _decode_ogg(file: BinaryIO, check: Callable[[int, int, float], None]) -> Iterator[tuple[Block, int]]:
    """Each of the joined recordings: both libraries would stop where the first ends."""
    try:
        links = ogg.survey(file)
    except ogg.Damaged as flaw:
        raise TruncatedAudio(f"The recording is damaged or cut off: the OGG file {flaw}.") from None
    parts = [cast(BinaryIO, ogg.Part(file, link.start, link.end)) for link in links]
    # libsndfile knows one track of Vorbis or Opus, and takes Opus without an end mark for damaged
    plain = all(
        link.tracks == 1 and link.has_end_mark and _is_vorbis_or_opus(part)
        for link, part in zip(links, parts, strict=True)
    )
    first_rate = 0
    for part in parts:
        blocks = (
            _decode_sndfile(part, check) if plain else _decode_ffmpeg(part, "ogg", check, announced=False)
        )
        for block, rate in blocks:
            first_rate = first_rate or rate
            if rate != first_rate:
                raise InvalidAudio("The sample rate changes in the middle of the recording.")
            yield block, rate


def _is_vorbis_or_opus(part: BinaryIO) -> bool:
    head = part.read(64)
    part.seek(0)
    return b"OpusHead" in head or b"\x01vorbis" in head


def _decode_sndfile(file: BinaryIO, check: Callable[[int, int, float], None]) -> Iterator[tuple[Block, int]]:
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):
        raise UnsupportedAudio(_NOT_AUDIO) from None
    with sound:
        if sound.format not in ("WAV", "WAVEX", "FLAC", "OGG", "MP3"):  # cut off, others pass for whole
            raise UnsupportedAudio(_NOT_AUDIO)
        # libsndfile stops an MP3 where it guesses its end, and cannot end a FLAC of unknown length
        if sound.format == "MP3" or (sound.format == "FLAC" and sound.frames >= 1 << 62):
            file.seek(0)
            announced = sound.format == "MP3" and _mp3_count(file) > 0
            yield from _decode_ffmpeg(file, sound.format.lower(), check, announced=announced)
            return
        promised = sound.frames if 0 < sound.frames < 1 << 62 else 0  # 0: the header does not know
        check(sound.samplerate, sound.channels, promised / sound.samplerate)
        decoded = 0
        size = max(1, BLOCK_VALUES // sound.channels)
        while True:
            try:
                block = sound.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                raise _truncated(decoded, sound.samplerate) from None
            if not len(block):
                break
            decoded += len(block)
            yield block, sound.samplerate
        if decoded < promised:
            raise _truncated(decoded, sound.samplerate)


def _decode_ffmpeg(
    file: BinaryIO, container: str, check: Callable[[int, int, float], None], *, announced: bool
) -> Iterator[tuple[Block, int]]:
    """``announced``: the container knows its length; without, FFmpeg would guess."""
    import av  # only here: 15 MB of libraries that WAV, FLAC and OGG do without

    try:
        with av.open(file, mode="r", format=container, metadata_errors="ignore") as source:
            if not source.streams.audio:
                raise InvalidAudio("The file has no audio track.")
            track = source.streams.audio[0]
            if track.codec_context is None:
                raise UnsupportedAudio(f"The sound in this {container} file is in an unknown coding.")
            rate = track.codec_context.sample_rate
            promised_s, slack_s = 0.0, 1.0  # containers count in packets, and round
            if track.duration and track.time_base and announced:
                promised_s = float(track.duration * track.time_base)
            elif container == "matroska" and source.duration:
                promised_s = source.duration / av.time_base
                slack_s = max(1.0, 0.02 * promised_s)  # FFmpeg's own estimate, where it wrote into a pipe
            check(rate, track.codec_context.channels, promised_s)
            planar = av.AudioResampler(format="fltp")
            decoded, held = 0, 0
            blocks: list[Block] = []  # a packet is a few milliseconds: what follows works on longer pieces
            for out in chain.from_iterable(map(planar.resample, source.decode(track))):
                block = out.to_ndarray().T.astype(np.float32, copy=False)
                check(out.sample_rate, block.shape[1], 0.0)
                if out.sample_rate != rate:
                    raise InvalidAudio("The sample rate changes in the middle of the recording.")
                decoded += len(block)
                held += block.size
                blocks.append(block)
                if held >= BLOCK_VALUES:
                    yield np.concatenate(blocks), rate
                    blocks, held = [], 0
            if blocks:
                yield np.concatenate(blocks), rate
            if decoded / rate < promised_s - slack_s:
                raise _truncated(decoded, rate)
    except av.FFmpegError:
        raise UnsupportedAudio(
            f"The file looks like {container}, but it is damaged, incomplete or in an unknown coding."
        ) from None


_NOT_AUDIO = "The file is not audio in a known format (WAV, FLAC, OGG, Opus, MP3, M4A, AAC, MP4, WebM)."


def _is_flac_or_mp3(file: BinaryIO) -> bool:
    """By the first bytes behind the ID3 tags, as libsndfile looks for them."""
    at = 0
    for _ in range(MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if not (size := _tag_size(head)):
            break
        at += size
    file.seek(0)
    return head[:4] == b"fLaC" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def _tag_size(head: bytes) -> int:
    """Bytes of the ID3 tag that begins with these ten; 0 where they are none."""
    if head[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))


def _mp3_count(file: BinaryIO) -> int:
    """The number of frames that the Xing header of an MP3 announces; 0 where it has none."""
    file.seek(0)
    file.seek(_tag_size(file.read(10)))
    frame = file.read(256)
    file.seek(0)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    return int.from_bytes(frame[at + 8 : at + 12]) if at >= 0 and frame[at + 7] & 1 else 0


def _truncated(decoded: int, rate: int) -> TruncatedAudio:
    return TruncatedAudio(
        f"The recording is damaged or cut off: only the first {decoded / rate:.0f} s or so can be read."
    )


def _check_mp4(file: BinaryIO) -> None:
    try:
        mp4.check(file)
    except mp4.Excessive as flaw:
        raise InvalidAudio(f"The file {flaw}, more than a recording can have.") from None


def _check_riff(file: BinaryIO, byte_order: str) -> None:
    """Compares what a WAV header promises with what is there; libsndfile reads on in silence.

    A recording of which a part is missing must not pass for the whole. Chunks: 4 bytes name, 4 bytes size.
    """
    size = file.seek(0, 2)
    at = 12
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack(f"{byte_order}4sI", head)
        if name == b"data":
            if length > size - at - 8:
                raise TruncatedAudio(
                    f"The WAV header announces {length:,} bytes of audio; the file holds {size - at - 8:,}."
                )
            break
        at += 8 + length + length % 2
    else:
        raise InvalidAudio(f"The WAV file has more than {MAX_CHUNKS:,} chunks before its audio.")
    file.seek(0)
