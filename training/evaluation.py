"""The evaluation sets: texts and recordings that no training audio has, and how well they are written."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np

from medasr_service.evaluation import markers, scoring
from medasr_service.evaluation.scoring import Found
from training import codecs, grammar, recognition, wide
from training.features import add_noise, extract, record
from training.notation import Notation, guessed
from training.voices import (
    SAMPLE_RATE,
    UNSEEN_ENGINE,
    UNSEEN_VARIANT,
    Speech,
    Voice,
    Waveform,
)

SHORTEST_REPORT_S, LONGEST_REPORT_S = 60, 180
SENTENCES_PER_BREATH = 3
MOST_CHANGED = 0.03  # of the words, by a codec
GUESSED, MUMBLED = 0.25, 0.25  # of the utterances of the notation's set


@dataclass(frozen=True)
class Recording:
    """Mono samples at 16 kHz, what is said in MedASR's notation, and the voice."""

    waveform: Waveform
    text: str
    voice: str

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE


@dataclass(frozen=True)
class Row:
    """One row of the table of figures; `target` is the WER to reach, where there is one."""

    name: str
    utterances: int
    words: int
    wer: float
    target: float | None

    @property
    def missed(self) -> bool:
        return self.target is not None and self.wer > self.target


@dataclass(frozen=True)
class Sent:
    """The first row's recordings through a codec: WER, and the words that are others than without it."""

    name: str
    wer: float
    changed: float

    @property
    def missed(self) -> bool:
        return self.changed > MOST_CHANGED


@dataclass(frozen=True)
class Unspoken:
    """Recordings in which nobody speaks, and the words that are written of them."""

    recordings: int
    words: int


@dataclass(frozen=True)
class Figures:
    """What is measured: the WER of the sets, the codecs, how many of which marker are right, and silence."""

    rows: list[Row]
    sent: list[Sent]
    markers: dict[str, Found]
    unspoken: Unspoken


@dataclass(frozen=True)
class Sizes:
    """How many recordings the sets have, and how many are tried for one that ships."""

    sentences: int = 240  # of all trained voices together
    unseen: int = 100  # of each voice never trained on
    reports: int = 2  # of each trained voice
    candidates: int = 24
    notation: int = 240  # of all trained voices together
    unspoken: int = 120


class Texts:
    """Random texts of the evaluation split, none of them part of a training text."""

    def __init__(self, seed: int, trained: Iterable[str]) -> None:
        self.dictation = grammar.load("evaluation", seed)
        self.trained = "\n".join(trained)
        self.given: set[str] = set()

    def fresh(self, text: str) -> bool:
        """Whether the text is new: not a part of a training text and not given before."""
        return text not in self.trained and text not in self.given

    def utterance(self, kind: grammar.Kind) -> grammar.Words:
        """One sentence or several, never given before."""
        while True:
            words = self.dictation.utterance(kind)
            text = grammar.written(words)
            if self.fresh(text):
                self.given.add(text)
                return words

    def report(self, times: int) -> grammar.Words:
        """A report with `times` as many sentences as usual."""
        return self.dictation.report(times=times)


def speak_short(voice: Voice, count: int, texts: Texts, rng: Random) -> list[Recording]:
    """Sentences in quiet recordings, one or several in each."""
    recordings: list[Recording] = []
    while len(recordings) < count:
        words = texts.utterance("sentence" if rng.random() < 0.5 else "sentences")
        speech = voice.speak([grammar.spoken(words, rng)], rng)[0]
        if speech is None:
            continue
        heard = record(speech, rng, noise=False)
        if len(heard.waveform) < 20 * SAMPLE_RATE:
            label = f"{voice.name} {speech.voice}" if voice.name == "espeak-ng" else voice.name
            recordings.append(Recording(heard.waveform, grammar.written(words), label))
    return recordings


def speak_report(
    voice: Voice, texts: Texts, rng: Random, shortest_s: float, longest_s: float, times: int
) -> Recording:
    """One report of the length asked for, in one voice, a breath after every few sentences."""
    while True:
        words = texts.report(times)
        speaker = rng.randrange(2**32)  # the same accent, speed and pitch in every breath
        parts: list[Waveform] = []
        voiced = ""
        for breath in _breaths(words):
            said = grammar.spoken(breath, rng)
            speech = voice.speak([said], Random(speaker))[0]
            if speech is None:
                break
            voiced = speech.voice
            pause = np.zeros(int(rng.uniform(0.1, 0.6) * SAMPLE_RATE), np.float32)
            parts += [speech.waveform, pause]
        waveform = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if shortest_s <= len(waveform) / SAMPLE_RATE <= longest_s:
            break
    # Labelled as espeak so that `record` leaves rate and pitch of the whole report alone.
    heard = record(Speech(waveform, f"en-{voiced}"), rng, noise=False)
    return Recording(heard.waveform, grammar.written(words), voice.name)


def _breaths(words: grammar.Words) -> list[grammar.Words]:
    """The words, cut after every few {period}."""
    stops = [index + 1 for index, word in enumerate(words) if word.written == "{period}"]
    cuts = [0, *stops[SENTENCES_PER_BREATH - 1 :: SENTENCES_PER_BREATH], len(words)]
    return [words[start:end] for start, end in pairwise(cuts) if start < end]


def evaluate(folder: Path, voices: list[Voice], trained: Iterable[str], seed: int, sizes: Sizes) -> Figures:
    """Greedy figures of the checkpoint in `folder` on every set."""
    texts, rng = Texts(seed, trained), Random(seed)
    each = -(-sizes.sentences // len(voices))
    quiet = [one for voice in voices for one in speak_short(voice, each, texts, rng)]
    rows = [_row(f"trained voices: {voice.name}", folder, _of(quiet, voice)) for voice in voices]
    without_codec = _heard(folder, quiet)
    rows.insert(0, _scored("trained voices, sentences", quiet, without_codec, 0.05))
    reports = [
        speak_report(voice, texts, rng, SHORTEST_REPORT_S, LONGEST_REPORT_S, times=3)
        for voice in voices
        for _ in range(sizes.reports)
    ]
    heard = recognition.transcribe_long(folder, [one.waveform for one in reports])
    name = f"long reports, {SHORTEST_REPORT_S}-{LONGEST_REPORT_S} s, 20/2 windows"
    rows.append(_scored(name, reports, heard, 0.04))
    for voice, target in ((UNSEEN_VARIANT, 0.08), (UNSEEN_ENGINE, 0.25)):
        recordings = speak_short(voice, sizes.unseen, texts, rng)
        rows.append(_row(f"never trained on: {voice.name}", folder, recordings, target))
    for snr_db, wanted in ((20, 0.10), (10, None)):
        noisy = [replace(one, waveform=add_noise(one.waveform, snr_db, rng, coloured=False)) for one in quiet]
        rows.append(_row(f"trained voices, white noise at {snr_db} dB", folder, noisy, wanted))
    notation = [
        one for voice in voices for one in speak_notation(voice, -(-sizes.notation // len(voices)), seed)
    ]
    heard = _heard(folder, notation)
    rows.append(_scored("trained voices, notation", notation, heard, None))
    return Figures(
        rows,
        _sent(folder, quiet, without_codec),
        marked([one.text for one in notation], heard),
        _unspoken(folder, seed, sizes.unspoken),
    )


def speak_notation(voice: Voice, count: int, seed: int) -> list[Recording]:
    """Utterances with placeholders, ends, guessed signs and mumbling; no name of them is said in training."""
    rng = Random(f"{seed}/{voice.name}")
    notation = Notation("evaluation", rng.randrange(2**32))
    recordings: list[Recording] = []
    others: list[Waveform] = []
    while len(recordings) < count:
        words = notation.utterance()
        if rng.random() < GUESSED:
            words = guessed(words, rng)
        speech = voice.speak([grammar.spoken(words, rng)], rng)[0]
        if speech is None:
            continue
        if others and rng.random() < MUMBLED:
            words, speech = wide.mumbled(words, speech, others, rng)
        else:
            others.append(speech.waveform)
        heard = record(replace(speech, starts_s=None), rng, noise=False)
        if len(heard.waveform) < 20 * SAMPLE_RATE:
            recordings.append(Recording(heard.waveform, grammar.written(words), voice.name))
    return recordings


def marked(references: list[str], heard: list[str]) -> dict[str, Found]:
    """How many of each marker were said, are right, and were written where nobody said them."""
    found: dict[str, Found] = {}
    for reference, text in zip(references, heard, strict=True):
        for kind, one in markers.score(reference, text).kinds.items():
            found[kind] = found.get(kind, Found()) + one
    return found


def _unspoken(folder: Path, seed: int, count: int) -> Unspoken:
    rng = Random(f"{seed}/unspoken")
    heard = _heard(folder, [Recording(wide.nothing(rng), "", "nobody") for _ in range(count)])
    found = Unspoken(count, sum(len(text.split()) for text in heard))
    print(f"nobody speaks: {found.recordings} recordings, {found.words} words", flush=True)
    return found


def _sent(folder: Path, quiet: list[Recording], without: list[str]) -> list[Sent]:
    """The recordings through every codec that is measured; ``without``: what is heard of them as they are."""
    references = [one.text for one in quiet]
    rows = []
    for codec in codecs.MEASURED:
        sent = [replace(one, waveform=codecs.through(one.waveform, codec)) for one in quiet]
        heard = _heard(folder, sent)
        wer, changed = (scoring.word_error_rate(said, heard) for said in (references, without))
        rows.append(Sent(f"{codec.name} at {codec.bit_rate / 1000:g} kbit/s", wer, changed))
        print(f"{rows[-1].name}: WER {100 * wer:.2f} %, changed {100 * changed:.2f} %", flush=True)
    return rows


def _of(recordings: list[Recording], voice: Voice) -> list[Recording]:
    return [recording for recording in recordings if recording.voice.startswith(voice.name)]


def _heard(folder: Path, recordings: list[Recording]) -> list[str]:
    model, tokenizer = recognition.load(folder)
    features = [extract(recording.waveform) for recording in recordings]
    return recognition.transcribe(model, tokenizer, features)


def _row(name: str, folder: Path, recordings: list[Recording], target: float | None = None) -> Row:
    return _scored(name, recordings, _heard(folder, recordings), target)


def _scored(name: str, recordings: list[Recording], heard: list[str], target: float | None) -> Row:
    references = [recording.text for recording in recordings]
    words = sum(len(scoring.normalise(text).split()) for text in references)
    wer = scoring.word_error_rate(references, heard)
    row = Row(name, len(recordings), words, wer, target)
    print(f"{row.name}: {row.utterances} utterances, {words} words, WER {100 * wer:.2f} %", flush=True)
    return row
