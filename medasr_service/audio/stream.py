"""Recordings of any common kind to mono float32 at 16 kHz, as a stream.

A recording is read twice. ``inspect`` decodes it once and refuses what is broken, empty or too long, before
the model sees any of it, and finds out what is to be heard and how loud it is. ``stream`` decodes it again,
mixes down, resamples and amplifies, block by block: memory does not grow with the length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import soxr

from medasr_service.audio import channels, containers
from medasr_service.audio.channels import Balance
from medasr_service.audio.ffmpeg import NoSuchTrack
from medasr_service.audio.level import Limiter, Loudness, Meter
from medasr_service.audio.limits import check_duration
from medasr_service.audio.pieces import Damaged, Listener, Span
from medasr_service.errors import EmptyAudio, InvalidAudio
from medasr_service.model.geometry import Waveform

SAMPLE_RATE = 16_000
MIN_DURATION_S = 0.1  # OpenAI's limit
MAX_PEAK = 1e6  # beyond, arithmetic on the samples overflows
SILENT_PEAK = 1e-4  # of full scale (-80 dBFS): below, a track has no sound
MAX_TRACKS = 16  # of sound, side by side


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What ``inspect`` found: ``duration`` in seconds, ``peak`` and ``level`` of the mono mix in full scale.

    ``track`` is the one that is heard, of ``channel`` alone where the mix of all would cancel, both from 0.
    ``gaps`` have no sound in the file, ``losses`` had some that cannot be read; both are heard as silence.
    """

    duration: float
    peak: float
    level: float = 1.0
    track: int = 0
    channel: int | None = None
    gaps: tuple[Span, ...] = ()
    losses: tuple[Span, ...] = ()
    damaged: Damaged = "refuse"

    def gain(self, *, max_gain: float) -> float:
        """The factor that brings quiet speech up to PEAK; 1 for any other, and for digital silence."""
        return Loudness(self.peak, self.level).gain(max_gain=max_gain)


def inspect(
    file: BinaryIO,
    *,
    max_duration_s: float,
    max_channels: int,
    damaged: Damaged = "refuse",
    on_block: Callable[[], None] = lambda: None,
) -> AudioInfo:
    """Decodes the whole recording, keeping nothing; of several tracks, up to the first that has sound.

    Calls ``on_block`` after each block.

    Raises EmptyAudio, TruncatedAudio, AudioTooLong, UnsupportedAudio or InvalidAudio.
    """
    first: AudioInfo | None = None
    for track in range(MAX_TRACKS):
        wanted = AudioInfo(0.0, 0.0, track=track, damaged=damaged)
        try:
            info = _inspect(file, wanted, max_duration_s, max_channels, on_block)
        except NoSuchTrack as error:
            if first is None:
                raise InvalidAudio(error.message) from None
            break
        except InvalidAudio:
            if first is None:
                raise
            continue  # the first is whole, though silent
        if info.peak >= SILENT_PEAK:
            return info
        first = first or info
    assert first
    return first


def _inspect(
    file: BinaryIO,
    wanted: AudioInfo,
    max_duration_s: float,
    max_channels: int,
    on_block: Callable[[], None],
) -> AudioInfo:
    """One track; twice where it turns out that its channels cancel."""
    samples, rate = 0, SAMPLE_RATE
    meter, balance, listener = Meter(), Balance(), Listener(wanted.damaged, max_duration_s)
    pieces = containers.decode(
        file, track=wanted.track, max_duration_s=max_duration_s, max_channels=max_channels
    )
    for block, rate in listener.hear(pieces):
        mono = channels.mix(block, wanted.channel)
        if not np.isfinite(mono).all():
            raise InvalidAudio("The recording holds samples that are not numbers (NaN or infinity).")
        samples += len(mono)
        if np.abs(mono).max(initial=0.0) > MAX_PEAK:
            raise InvalidAudio("The recording holds samples far beyond full scale.")
        meter.add(mono, rate)
        balance.add(block, rate)
        check_duration(samples / rate, max_duration_s)
        on_block()
    if not samples:
        raise EmptyAudio("The recording holds no audio.")
    if samples / rate < MIN_DURATION_S:
        raise InvalidAudio(
            f"The recording is {samples / rate:.3f} s long; at least {MIN_DURATION_S} s are needed."
        )
    if wanted.channel is None and balance.channel is not None:
        wanted = replace(wanted, channel=balance.channel)
        return _inspect(file, wanted, max_duration_s, max_channels, on_block)
    loudness = meter.loudness
    return replace(
        wanted,
        duration=samples / rate,
        peak=loudness.peak,
        level=loudness.level,
        gaps=tuple(listener.gaps),
        losses=tuple(listener.losses),
    )


def stream(
    file: BinaryIO,
    *,
    gain: float,
    max_duration_s: float,
    max_channels: int,
    track: int = 0,
    channel: int | None = None,
    damaged: Damaged = "refuse",
) -> Iterator[Waveform]:
    """Mono blocks at 16 kHz, amplified; run ``inspect`` first, which says what is to be heard.

    The sum of their lengths is the duration.
    """
    pieces = containers.decode(file, track=track, max_duration_s=max_duration_s, max_channels=max_channels)
    sounds = Listener(damaged, max_duration_s).hear(pieces)
    blocks = _resampled((channels.mix(block, channel) * np.float32(gain), rate) for block, rate in sounds)
    if gain <= 1.0:
        yield from blocks
        return
    limiter = Limiter()
    for block in blocks:
        yield limiter.push(block)
    yield limiter.flush()


def _resampled(blocks: Iterator[tuple[Waveform, int]]) -> Iterator[Waveform]:
    resampler: soxr.ResampleStream | None = None
    for mono, rate in blocks:
        if rate == SAMPLE_RATE:
            yield mono
            continue
        resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(mono)
    if resampler:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
