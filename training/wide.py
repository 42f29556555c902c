"""The audio of the last stage: MedASR's notation, more voices, and sound through rooms and codecs.

Somewhat more than half of the texts are those of the first shards of the other stages, spoken anew, so
that nothing is forgotten; the others are those of notation.py. Three recordings in ten are made as those of
the other stages.
"""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import soxr

from training import codecs, features, grammar, sound
from training.features import Features, Utterance
from training.grammar import Words
from training.notation import DOUBT, Notation, ended, guessed
from training.numbers import Word
from training.voices import SAMPLE_RATE, Speech, Voice, Waveform

UTTERANCES_PER_SHARD = 240
NOTHING_PER_SHARD = 480
SHORTEST_NOTHING_S, LONGEST_NOTHING_S = 1.5, 8.0
NOTATION = 11  # of UTTERANCES_PER_CALL texts that a voice speaks in one call
GUESSED = 0.10  # of the utterances have signs that are guessed
MUMBLED = 0.10
MUMBLES_ALONE = 0.08  # of those
PLAIN = 0.3  # of the recordings are made as those of the other stages
SENT = 0.65  # of the others come through a codec
LARGEST_WARP = 0.12


def record(speech: Speech, rng: Random) -> Waveform:
    """The speech as a recording: quiet or noisy, in a room, with clicks, faint, through a codec."""
    if rng.random() < PLAIN:
        return features.record(speech, rng).waveform
    waveform = speech.waveform
    if rng.random() < 0.4:
        factor = 1 + rng.uniform(-LARGEST_WARP, LARGEST_WARP)
        waveform = soxr.resample(waveform, SAMPLE_RATE * factor, SAMPLE_RATE)
    if rng.random() < 0.3:
        quiet = np.pad(waveform, (0, int(0.2 * SAMPLE_RATE)))
        waveform = sound.echo(quiet, rng, decay_s=rng.uniform(0.15, 0.7), direct_db=rng.uniform(0, 14))
    heard = features.record(replace(speech, waveform=waveform, starts_s=None), rng, noise=False).waveform
    if rng.random() < 0.45:
        heard = features.add_noise(heard, rng.uniform(7, 45), rng, coloured=rng.random() < 0.5)
    if rng.random() < 0.12:
        heard = sound.clicks(heard, rng, each_s=rng.uniform(0.5, 4))
    if rng.random() < 0.15:
        heard = heard * np.float32(10 ** (-rng.uniform(6, 24) / 20))
    return codecs.send(heard, rng) if rng.random() < SENT else heard


def mumbled(words: Words, speech: Speech, others: list[Waveform], rng: Random) -> tuple[Words, Speech]:
    """One to four words that nobody can make out: `[unintelligible]` stands for them.

    Where it is not known when words start, it is before or behind what is said.
    """
    doubt = Word(DOUBT, "")
    mumble = sound.mumble(rng.uniform(0.4, 1.8), others, rng) * np.float32(
        rng.uniform(0.4, 1.1) * float(np.abs(speech.waveform).max())
    )
    if rng.random() < MUMBLES_ALONE:
        return (doubt,), Speech(mumble, speech.voice)
    if speech.starts_s is None or len(speech.starts_s) < len(words):
        at_start = rng.random() < 0.5
        parts = [mumble, speech.waveform] if at_start else [speech.waveform, mumble]
        return (doubt, *words) if at_start else (*words, doubt), Speech(np.concatenate(parts), speech.voice)
    first = rng.randrange(len(words))
    behind = min(len(words), first + rng.randint(1, 4))
    ends_s = [*speech.starts_s[: len(words)], len(speech.waveform) / SAMPLE_RATE]
    start, end = (int(ends_s[index] * SAMPLE_RATE) for index in (first, behind))
    waveform = np.concatenate([speech.waveform[:start], mumble, speech.waveform[end:]])
    return (*words[:first], doubt, *words[behind:]), Speech(waveform, speech.voice)


def texts(dictation: grammar.Grammar, notation: Notation, rng: Random) -> list[Words]:
    """What one voice says in one call, in random order."""
    said = [ended(dictation.utterance(), rng, 0.03) for _ in range(features.UTTERANCES_PER_CALL - NOTATION)]
    said += [notation.utterance() for _ in range(NOTATION)]
    said = [guessed(words, rng) if rng.random() < GUESSED else words for words in said]
    rng.shuffle(said)
    return said


def build_shard(number: int, seed: int, voices: list[Voice], folder: Path) -> float:
    """Synthesise one shard; hours of audio in it."""
    dictation = grammar.load(
        "train", Random(f"{seed}/{number}").randrange(2**32)
    )  # as the other stages' shard
    rng = Random(f"{seed}/{number}/wide")
    notation = Notation("train", rng.randrange(2**32))
    arrays: list[Features] = []
    utterances: list[Utterance] = []
    for _ in range(UTTERANCES_PER_SHARD // features.UTTERANCES_PER_CALL):
        voice = rng.choices(voices, [voice.share for voice in voices])[0]
        batch = texts(dictation, notation, rng)
        spoken = voice.speak([grammar.spoken(words, rng) for words in batch], rng)
        pairs = [(words, one) for words, one in zip(batch, spoken, strict=True) if one and one.waveform.any()]
        others = [speech.waveform for _, speech in pairs]
        for words, speech in pairs:
            if rng.random() < MUMBLED:
                words, speech = mumbled(words, speech, others, rng)
            found = features.extract(np.pad(record(speech, rng), (0, 400)))
            if not features.SHORTEST_FRAMES <= len(found) <= features.LONGEST_FRAMES:
                continue
            arrays.append(found)
            utterances.append(Utterance(len(found), [word.written for word in words], voice.name, None))
    return features.save_shard(folder, number, arrays, utterances)


def nothing(rng: Random) -> Waveform:
    """A recording in which nobody speaks: noise, a hum, clicks, of any level, through a codec or not."""
    count = int(rng.uniform(SHORTEST_NOTHING_S, LONGEST_NOTHING_S) * SAMPLE_RATE)
    hum = np.sin(2 * np.pi * rng.choice((50, 60, 100, 120)) * np.arange(count) / SAMPLE_RATE)
    heard = features.add_noise(hum.astype(np.float32), rng.uniform(-40, 0), rng, coloured=rng.random() < 0.5)
    heard *= np.float32(10 ** (-rng.uniform(10, 65) / 20) / (float(np.abs(heard).max()) or 1.0))
    if rng.random() < 0.25:
        heard = sound.clicks(heard, rng, each_s=rng.uniform(0.3, 2))
    return codecs.send(heard, rng) if rng.random() < SENT / 2 else heard


def build_nothing(number: int, seed: int, voices: list[Voice], folder: Path) -> float:
    """One shard without speech: what is not said must not be written; hours of audio in it."""
    rng = Random(f"{seed}/{number}/nothing")
    arrays: list[Features] = []
    for _ in range(NOTHING_PER_SHARD):
        found = features.extract(np.pad(nothing(rng), (0, 400)))
        arrays.append(found[: features.LONGEST_FRAMES])
    utterances = [Utterance(len(found), [], "nobody", None) for found in arrays]
    return features.save_shard(folder, number, arrays, utterances)
