"""Words have the times at which they sound: recordings whose word times are known, spoken by espeak-ng."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from medasr_service.text import boundaries
from medasr_service.text.boundaries import Levels
from medasr_service.text.transcript import Token, Word
from medasr_service.transcriber import Options, Transcriber
from training import grammar
from training.voices import Voice, espeak
from training.word_times import errors_s, speak_apart

ESPEAK = Voice("espeak-ng", "", "", 0.0, partial(espeak, accents=["en-us"], variants=["", "+f2"]))
RATE = 16_000
TOKEN = Token(4, "▁a", 0, 1, -0.1)


@pytest.mark.needs("espeak-ng")
async def test_the_times_of_words_spoken_one_by_one(
    make_transcriber: Callable[..., Transcriber], options: Options
) -> None:
    rng, dictation = Random(3), grammar.load("evaluation", 3)
    errors: list[float] = []
    for _ in range(12):
        timed = speak_apart(dictation.utterance("sentence"), ESPEAK, rng)
        assert timed
        found, words = await errors_s(timed, make_transcriber(), options)
        errors += found
        assert all(0 <= word.start < word.end <= len(timed.waveform) / RATE for word in words)
        assert all(before.end <= after.start for before, after in pairwise(words))
    assert len(errors) > 80
    assert np.median(np.abs(errors)) <= 0.060
    assert np.percentile(np.abs(errors), 95) <= 0.160


def heard(start: float, end: float) -> Word:
    return Word("a", start, end, 0.9, (TOKEN,))


def sound(*stretches: tuple[float, float]) -> Levels:
    """Noise, each stretch with its seconds and its amplitude."""
    rng = np.random.default_rng(1)
    parts = [rng.normal(0, level, int(seconds * RATE)) for seconds, level in stretches]
    waveform = np.concatenate(parts).astype(np.float32)
    return Levels.of(waveform, start_s=0.0, step_samples=160, sample_rate=RATE)


def refined(levels: Levels, *words: Word) -> list[tuple[float, float]]:
    return [(w.start, w.end) for w in boundaries.refine(words, levels, before=None, after=None)]


@pytest.mark.parametrize("silence", [0.0, 0.003], ids=["digital silence", "a noisy room"])
def test_words_last_from_pause_to_pause(silence: float) -> None:
    levels = sound((0.5, silence), (0.4, 0.1), (0.3, silence), (0.4, 0.1), (0.5, silence))
    [first, second] = refined(levels, heard(0.65, 0.69), heard(1.4, 1.44))
    assert first == pytest.approx((0.5, 0.9), abs=0.03)
    assert second == pytest.approx((1.2, 1.6), abs=0.03)


def test_without_a_pause_words_meet_at_the_quietest_point() -> None:
    levels = sound((0.5, 0.1), (0.04, 0.01), (0.5, 0.1))
    [first, second] = refined(levels, heard(0.2, 0.24), heard(0.7, 0.74))
    assert first[1] == second[0] == pytest.approx(0.52, abs=0.03)


def test_a_noise_in_a_pause_belongs_to_no_word() -> None:
    levels = sound((0.3, 0.1), (0.2, 0.0), (0.1, 0.1), (0.2, 0.0), (0.3, 0.1))
    [first, second] = refined(levels, heard(0.1, 0.14), heard(0.9, 0.94))
    assert first[1] == pytest.approx(0.3, abs=0.03)
    assert second[0] == pytest.approx(0.8, abs=0.03)


def test_where_loudness_tells_nothing_a_word_grows_little_and_stays_in_the_recording() -> None:
    [only] = refined(sound((3.0, 0.1)), heard(1.0, 1.1))
    assert only == pytest.approx((0.88, 1.22))
    assert refined(sound((0.3, 0.1)), heard(0.05, 0.28)) == [pytest.approx((0.0, 0.3))]


def test_a_word_is_never_shortened_and_never_overlaps(rng: np.random.Generator) -> None:
    for _ in range(200):
        edges = np.sort(rng.choice(400, 8, replace=False)) / 100
        words = [heard(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        levels = sound(*[(0.2, level) for level in rng.choice([0.0, 0.003, 0.1, 0.3], 20)])
        found = boundaries.refine(words, levels, before=None, after=None)
        assert all(a.start <= b.start and a.end >= b.end for a, b in zip(found, words, strict=True))
        assert all(a.end <= b.start for a, b in pairwise(found))


def test_refining_in_parts_is_refining_all_at_once(rng: np.random.Generator) -> None:
    levels = sound(*[(0.15, level) for level in rng.choice([0.0, 0.003, 0.1], 60)])
    words = [heard(at, at + 0.08) for at in np.arange(0.3, 8.7, 0.47)]
    whole = boundaries.refine(words, levels, before=None, after=None)
    parts = []
    for at in range(0, len(words), 3):
        known = levels.since(words[at].start - boundaries.HELD_S)
        before = words[at - 1] if at else None
        after = words[at + 3] if at + 3 < len(words) else None
        parts += boundaries.refine(words[at : at + 3], known, before=before, after=after)
    assert [w.start for w in parts] == pytest.approx([w.start for w in whole])
    assert [w.end for w in parts] == pytest.approx([w.end for w in whole])
