"""How far the times of words are off: `python -m training.word_times`.

Sentences of the evaluation split are spoken word by word, each word trimmed to its sound and joined to the
next with a pause of known length, so that every start and end is known; and once more in one breath, where an
engine tells the starts. They are transcribed as the service does it, and the words that came out right are
compared.
"""

import argparse
import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from random import Random

import numpy as np
import soundfile

from medasr_service import settings
from medasr_service.cli import model
from medasr_service.text.transcript import Word
from medasr_service.transcriber import Options, Transcriber
from training import grammar
from training.features import add_noise, record
from training.voices import SAMPLE_RATE, VOICES, Voice, Waveform, present

SOUND_FLOOR = 0.01  # of the peak of a word; below it, its ends are silence
LEVEL = 0.5
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.35
LONGEST_S = 20.0


@dataclass(frozen=True)
class Spoken:
    """A word as the model should write it, with the seconds of its sound, where they are known."""

    text: str
    start_s: float | None
    end_s: float | None


@dataclass(frozen=True)
class Timed:
    """A recording with the times of its words."""

    waveform: Waveform
    words: tuple[Spoken, ...]


def speak_apart(words: grammar.Words, voice: Voice, rng: Random) -> Timed | None:
    """One word after the other, by one speaker; None where the voice cannot say one of them."""
    speaker = rng.randrange(2**32)
    parts = [np.zeros(int(rng.uniform(0.2, 0.5) * SAMPLE_RATE), np.float32)]
    found: list[Spoken] = []
    now = len(parts[0])
    for word in words:
        speech = voice.speak([[word.spoken]], Random(speaker))[0]
        if speech is None or not speech.waveform.any():
            return None
        sound = trim(speech.waveform)
        pause = np.zeros(int(rng.uniform(SHORTEST_PAUSE_S, LONGEST_PAUSE_S) * SAMPLE_RATE), np.float32)
        found += _spoken(word.written, now / SAMPLE_RATE, (now + len(sound)) / SAMPLE_RATE)
        parts += [sound, pause]
        now += len(sound) + len(pause)
    return Timed(np.concatenate(parts), tuple(found))


def speak_connected(words: grammar.Words, voice: Voice, rng: Random) -> Timed | None:
    """The words in one breath; None where the engine does not tell when each begins."""
    speech = voice.speak([grammar.spoken(words, rng)], rng)[0]
    if speech is None or speech.starts_s is None:
        return None
    heard = record(speech, rng, noise=False)
    assert heard.starts_s is not None
    times = zip(words, heard.starts_s, heard.starts_s[1:], strict=False)
    found = [spoken for word, start, end in times for spoken in _spoken(word.written, start, end)]
    return Timed(heard.waveform, tuple(found))


def _spoken(written: str, start_s: float, end_s: float) -> list[Spoken]:
    """The words of what is said as one; of "{new paragraph}" only the outer ends are known."""
    names = written.split()
    last = len(names) - 1
    return [
        Spoken(name, start_s if i == 0 else None, end_s if i == last else None)
        for i, name in enumerate(names)
    ]


def trim(waveform: Waveform) -> Waveform:
    """The sound of a word without the silence around it, at a common level."""
    peak = np.abs(waveform).max()
    loud = np.flatnonzero(np.abs(waveform) > SOUND_FLOOR * peak)
    sound: Waveform = waveform[loud[0] : loud[-1] + 1] / peak * np.float32(LEVEL)
    return sound


async def errors_s(
    timed: Timed, transcriber: Transcriber, options: Options
) -> tuple[list[float], list[Word]]:
    """How much later than known each end of each right word came out; and all words that came out."""
    file = io.BytesIO()
    soundfile.write(file, timed.waveform, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    file.seek(0)
    words = list((await transcriber.transcribe(file, options)).words)
    texts = [word.text for word in timed.words], [word.text for word in words]
    found: list[float] = []
    for known_at, heard_at, length in SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks():
        for i in range(length):
            known, heard = timed.words[known_at + i], words[heard_at + i]
            found += [heard.start - known.start_s] if known.start_s is not None else []
            found += [heard.end - known.end_s] if known.end_s is not None else []
    return found, words


def row(name: str, errors: Sequence[float]) -> str:
    """A line of the table."""
    size = np.abs(errors)
    within = 100 * float(np.mean(size <= 0.16))
    return (
        f"| {name} | {len(errors):,} | {1000 * np.median(errors):+.0f} ms | {1000 * np.median(size):.0f} ms"
        f" | {1000 * np.percentile(size, 95):.0f} ms | {within:.1f} % |"
    )


async def measure(sentences: int, seed: int) -> None:
    config = settings.load()
    transcriber, options = model.load(config), Options.defaults(config)
    rng, dictation = Random(seed), grammar.load("evaluation", seed)
    rows: dict[str, list[float]] = {}
    for voice in present(VOICES)[0]:
        for _ in range(sentences):
            words = dictation.utterance("sentence")
            apart, connected = speak_apart(words, voice, rng), speak_connected(words, voice, rng)
            cases = {"in one breath": connected, f"word by word: {voice.name}": apart}
            if apart:
                for snr_db in (20, 10):
                    noisy = add_noise(apart.waveform, snr_db, rng, coloured=rng.random() < 0.5)
                    cases[f"word by word, noise at {snr_db} dB"] = Timed(noisy, apart.words)
            for name, case in cases.items():
                if case and len(case.waveform) <= LONGEST_S * SAMPLE_RATE:
                    rows.setdefault(name, []).extend((await errors_s(case, transcriber, options))[0])
    quiet = [error for name, errors in rows.items() if ":" in name for error in errors]
    print(
        "| words | ends | median | median size | 95th percentile | within 160 ms |\n|---|---|---|---|---|---|"
    )
    for name, errors in {"word by word, all voices": quiet, **rows}.items():
        print(row(name, errors))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sentences", type=int, default=20, help="of each voice")
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()
    asyncio.run(measure(options.sentences, options.seed))


if __name__ == "__main__":
    main()
