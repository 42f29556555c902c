"""What happens to speech on its way: rooms, clicks, levels, and mumbling that nobody can make out."""

from random import Random

import numpy as np

from training.voices import SAMPLE_RATE, Waveform

LONGEST_ECHO_S = 0.8


def _numbers(rng: Random) -> np.random.Generator:
    return np.random.default_rng(rng.randrange(2**32))


def echo(waveform: Waveform, rng: Random, *, decay_s: float, direct_db: float) -> Waveform:
    """A room: an echo of noise that falls by 60 dB in `decay_s`, `direct_db` below the direct sound."""
    count = int(min(LONGEST_ECHO_S, decay_s) * SAMPLE_RATE)
    times = np.arange(count) / SAMPLE_RATE
    tail = _numbers(rng).normal(size=count) * 10 ** (-3 * times / decay_s)
    tail[: int(rng.uniform(0.002, 0.015) * SAMPLE_RATE)] = 0.0  # nothing comes back sooner
    tail *= 10 ** (-direct_db / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = 1 << (len(waveform) + count - 1).bit_length()
    heard = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(tail, size), size)[: len(waveform)]
    peak = float(np.abs(heard).max()) or 1.0
    room: Waveform = (heard * (float(np.abs(waveform).max()) / peak)).astype(np.float32)
    return room


def clicks(waveform: Waveform, rng: Random, *, each_s: float) -> Waveform:
    """Short clicks, one in `each_s` seconds in the mean, up to as loud as the loudest sample."""
    heard, numbers = waveform.copy(), _numbers(rng)
    peak = float(np.abs(waveform).max())
    for _ in range(max(1, round(len(waveform) / SAMPLE_RATE / each_s))):
        length = int(rng.uniform(0.0005, 0.005) * SAMPLE_RATE)
        if length >= len(waveform):
            continue
        start = rng.randrange(len(waveform) - length)
        burst = numbers.normal(size=length) * np.exp(-4 * np.arange(length) / length)
        heard[start : start + length] += (rng.uniform(0.2, 1.0) * peak * burst / np.abs(burst).max()).astype(
            np.float32
        )
    return np.clip(heard, -1, 1)


def mumble(seconds: float, others: list[Waveform], rng: Random) -> Waveform:
    """Speech of this length that nobody can make out: several voices at once, muffled, backwards or both."""
    count = int(seconds * SAMPLE_RATE)
    heard = np.zeros(count, np.float32)
    for _ in range(rng.randint(2, 4)):
        other = rng.choice(others)
        part = np.resize(np.roll(other, -rng.randrange(len(other))), count)
        if rng.random() < 0.6:
            part = part[::-1]
        heard += part / (float(np.abs(part).max()) or 1.0)
    if rng.random() < 0.6:  # as with a hand over the mouth
        heard = _muffled(heard, rng.uniform(500, 1500))
    swell = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * SAMPLE_RATE))
    mumbled: Waveform = (heard * swell / (float(np.abs(heard).max()) or 1.0)).astype(np.float32)
    return mumbled


def _muffled(waveform: Waveform, cut_hz: float) -> Waveform:
    spectrum = np.fft.rfft(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    muffled: Waveform = np.fft.irfft(spectrum / (1 + (frequencies / cut_hz) ** 4), len(waveform)).astype(
        np.float32
    )
    return muffled
