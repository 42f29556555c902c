"""The training audio: speech in recording conditions, as feature shards on disk.

A shard is two files: `NNNN.npy`, float16 log-mel frames (frames, 128) of all its utterances in
one array, and `NNNN.jsonl`, one `Utterance` per line. It depends on the seed and its number only,
is written under a temporary name and renamed, and so is whole or absent.
"""

# mypy: disallow-untyped-calls=false
# (transformers and torch leave some functions untyped)

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from transformers import LasrFeatureExtractor

from training import grammar
from training.voices import MORE_VOICES, SAMPLE_RATE, VOICES, Speech, Voice, Waveform, present

UTTERANCES_PER_SHARD = 240
UTTERANCES_PER_CALL = 24  # texts that a voice speaks in one call
FRAMES_PER_S = 100
LONGEST_FRAMES = 2000  # 20 s, MedASR's window
SHORTEST_FRAMES = 30
MEL_BINS = 128
Features = npt.NDArray[np.float16]
LARGEST_WARP = 0.09
SPEECH_FLOOR = 0.003  # of the peak; below it, the ends of a recording are silence


@dataclass(frozen=True)
class Utterance:
    """One line of a shard: its frames, words and voice; seconds each word starts, and the end."""

    frames: int
    words: list[str]
    voice: str
    starts_s: list[float] | None

    @property
    def text(self) -> str:
        return " ".join(self.words)


@cache
def _extractor() -> LasrFeatureExtractor:
    torch.set_num_threads(1)
    return LasrFeatureExtractor()


def extract(waveform: Waveform) -> Features:
    """Log-mel features (frames, 128) of 16 kHz samples, as MedASR's front end makes them."""
    inputs: Any = _extractor()(waveform, sampling_rate=SAMPLE_RATE, return_tensors="np")
    features: Features = inputs.input_features[0].astype(np.float16)
    return features


def record(speech: Speech, rng: Random, *, noise: bool = True) -> Speech:
    """The speech as a recording: random level, silence at the ends, and often some noise.

    Speech of engines with one speaker is warped now and then: a few per cent in pitch and rate.
    """
    waveform, starts = speech.waveform, speech.starts_s
    if not speech.voice.startswith(("en-", "gmw/")) and rng.random() < 0.35:
        factor = 1 + rng.uniform(-LARGEST_WARP, LARGEST_WARP)
        waveform = soxr.resample(waveform, SAMPLE_RATE * factor, SAMPLE_RATE)
        starts = starts and [start / factor for start in starts]
    peak = float(np.abs(waveform).max()) or 1.0
    loud = np.flatnonzero(np.abs(waveform) > SPEECH_FLOOR * peak)
    first, last = int(loud[0]), int(loud[-1]) + 1
    lead_s = 0.0 if rng.random() < 0.25 else rng.uniform(0.02, 0.6)
    tail_s = 0.0 if rng.random() < 0.1 else rng.uniform(0.05, 0.5)
    level = 10 ** (-rng.uniform(0.5, 18) / 20)
    recorded = np.concatenate(
        [
            np.zeros(int(lead_s * SAMPLE_RATE), np.float32),
            waveform[first:last] / peak * level,
            np.zeros(int(tail_s * SAMPLE_RATE), np.float32),
        ]
    )
    if noise and rng.random() < 0.6:
        recorded = add_noise(recorded, rng.uniform(12, 45), rng, coloured=rng.random() < 0.5)
    shift = lead_s - first / SAMPLE_RATE
    if starts is not None:
        starts = [round(max(start + shift, lead_s), 3) for start in starts]
        starts.append(round(lead_s + (last - first) / SAMPLE_RATE, 3))
    whole = np.round(np.clip(recorded, -1, 1) * 32767) / 32768  # what 16 bits keep of it
    return Speech(whole.astype(np.float32), speech.voice, starts)


def add_noise(waveform: Waveform, snr_db: float, rng: Random, *, coloured: bool) -> Waveform:
    """Noise at `snr_db` below the mean power: white, or falling towards high frequencies."""
    noise = np.random.default_rng(rng.randrange(2**32)).normal(size=len(waveform))
    if coloured:
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20), len(waveform))
    power = float((waveform**2).mean() / (noise**2).mean())
    noisy: Waveform = (waveform + noise * np.sqrt(power) * 10 ** (-snr_db / 20)).astype(np.float32)
    return noisy


def plain_texts(seed: int, shards: int) -> Iterator[str]:
    """Every text of the shards, without their audio: a shard's texts hang on its number alone."""
    for number in range(shards):
        dictation = grammar.load("train", Random(f"{seed}/{number}").randrange(2**32))
        for _ in range(UTTERANCES_PER_SHARD):
            yield grammar.written(dictation.utterance())


def build_shard(number: int, seed: int, voices: list[Voice], folder: Path) -> float:
    """Synthesise one shard; hours of audio in it."""
    rng = Random(f"{seed}/{number}")
    dictation = grammar.load("train", rng.randrange(2**32))
    arrays: list[Features] = []
    utterances: list[Utterance] = []
    for _ in range(UTTERANCES_PER_SHARD // UTTERANCES_PER_CALL):
        voice = rng.choices(voices, [voice.share for voice in voices])[0]
        texts = [dictation.utterance() for _ in range(UTTERANCES_PER_CALL)]
        said = [grammar.spoken(words, rng) for words in texts]
        for words, speech in zip(texts, voice.speak(said, rng), strict=True):
            if speech is None or not speech.waveform.any():
                continue
            recording = record(speech, rng)
            features = extract(np.pad(recording.waveform, (0, 400)))
            if not SHORTEST_FRAMES <= len(features) <= LONGEST_FRAMES:
                continue
            names = [word.written for word in words]
            arrays.append(features)
            utterances.append(Utterance(len(features), names, voice.name, recording.starts_s))
    return save_shard(folder, number, arrays, utterances)


def save_shard(folder: Path, number: int, arrays: list[Features], utterances: list[Utterance]) -> float:
    """Write one shard; hours of audio in it."""
    lines = "".join(json.dumps(asdict(utterance)) + "\n" for utterance in utterances)
    _replace(folder / f"{number:04d}.jsonl", lines.encode())
    temporary = folder / f"{number:04d}.tmp.npy"
    np.save(temporary, np.concatenate(arrays))
    temporary.replace(folder / f"{number:04d}.npy")
    return sum(utterance.frames for utterance in utterances) / FRAMES_PER_S / 3600


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


Builder = Callable[[int, int, list[Voice], Path], float]
_Job = tuple[Builder, int, int, list[str], Path]


def _build(job: _Job) -> float:
    builder, number, seed, names, folder = job
    return builder(number, seed, [voice for voice in (*VOICES, *MORE_VOICES) if voice.name in names], folder)


def synthesise(
    folder: Path, shards: int, seed: int, table: list[Voice] = VOICES, builder: Builder = build_shard
) -> list[Voice]:
    """Build the shards that are not there yet on all cores; the voices whose package is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    found, missing = present(table)
    for voice in missing:
        print(f"voice {voice.name} is missing ({voice.package}); going on without it", flush=True)
    names = [voice.name for voice in found]
    jobs: list[_Job] = [
        (builder, number, seed, names, folder)
        for number in range(shards)
        if not (folder / f"{number:04d}.npy").exists()
    ]
    if not jobs:
        return missing
    began, hours = time.monotonic(), 0.0
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), maxtasksperchild=8) as pool:
        for done, shard_hours in enumerate(pool.imap_unordered(_build, jobs), 1):
            hours += shard_hours
            left_s = (time.monotonic() - began) / done * (len(jobs) - done)
            print(f"audio {done}/{len(jobs)} shards, {hours:.1f} h, {left_s:.0f} s left", flush=True)
    return missing


def load(folder: Path) -> list[tuple[Utterance, Features]]:
    """Every utterance of the shards, with its features memory-mapped from disk."""
    items = []
    for path in sorted(folder.glob("[0-9]*[0-9].npy")):
        frames = np.load(path, mmap_mode="r")
        start = 0
        for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines():
            utterance = Utterance(**json.loads(line))
            items.append((utterance, frames[start : start + utterance.frames]))
            start += utterance.frames
    return items
