"""The beam search, proven without a model: posteriors and a language model written by hand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import NO_FLASHLIGHT

pytest.importorskip("flashlight.lib.text", reason=NO_FLASHLIGHT)

from medasr_service.decoding import beam, ctc, language_model
from medasr_service.decoding.beam import BeamDecoder, Weights
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.geometry import Emission
from medasr_service.text.transcript import Token

PIECES = ("<epsilon>", "<s>", "</s>", "<unk>", "▁a", "b", "c", "▁5", "0", "▁mg")
BLANK, END, UNK, A, B, C, FIVE, ZERO, MG = 0, 2, 3, 4, 5, 6, 7, 8, 9
VOCABULARY = Vocabulary(PIECES, BLANK, frozenset({0, 1, 2}))
ARPA = """\\data\\
ngram 1=10
ngram 2=4

\\1-grams:
-2\t<unk>
-99\t<s>\t-0.2
-99\t</s>
-0.5\t#a\t-0.1
-1.5\tb
-1.6\tc
-1.2\t#5\t-0.3
-1.3\t0
-1.4\t#mg
-1.7\t#unused

\\2-grams:
-0.1\t<s> #a
-1.0\t#a b
-0.2\t#a c
-0.05\t#5 0

\\end\\
"""
WEIGHTS = Weights(beam_size=16, beam_size_token=16, beam_threshold=50.0, lm_weight=1.0, word_score=0.0)


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("lm") / "tiny.arpa"
    file.write_text(ARPA)
    return file


def decoder(arpa: Path, **weights: float | int | bool) -> BeamDecoder:
    return BeamDecoder(VOCABULARY, language_model.read(arpa, VOCABULARY), replace(WEIGHTS, **weights))  # type: ignore[arg-type]


def emission(*frames: Mapping[int, float]) -> Emission:
    """Log-posteriors of frames that are given as id: probability; what is left goes nowhere."""
    posteriors = np.full((len(frames), len(PIECES)), 1e-30)
    for row, frame in zip(posteriors, frames, strict=True):
        for i, probability in frame.items():
            row[i] = probability
    logs: Emission = np.log(posteriors).astype(np.float32)
    return logs


def text(tokens: Sequence[Token]) -> str:
    return "".join(token.piece for token in tokens)


# heard: "ab" more likely than "ac"; read: "ac" more likely than "ab"
AB_OR_AC = emission({A: 1}, {B: 0.6, C: 0.4}, {BLANK: 1})


def test_without_weight_the_model_is_heard_and_with_weight_read(arpa: Path) -> None:
    assert text(decoder(arpa, lm_weight=0.0).decode(AB_OR_AC)) == "▁ab"
    assert text(decoder(arpa, lm_weight=1.0).decode(AB_OR_AC)) == "▁ac"


@pytest.mark.parametrize("lm_weight", [0.0, 0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("word_score", [0.0, 0.7, -0.4])
def test_the_score_is_the_formula_in_natural_logarithms(
    arpa: Path, lm_weight: float, word_score: float
) -> None:
    subject = decoder(arpa, lm_weight=lm_weight, word_score=word_score)
    path, score = subject.best_path(subject.fold(AB_OR_AC), [])
    heard, read = {B: 0.6, C: 0.4}, {B: -1.0, C: -0.2}  # log10 P(piece | ▁a)
    formula = {
        piece: math.log(heard[piece]) + lm_weight * math.log(10) * (-0.1 + read[piece]) + 2 * word_score
        for piece in (B, C)
    }
    best = max(formula, key=lambda piece: formula[piece])
    assert path.tolist() == [A, best, BLANK]
    assert score == pytest.approx(formula[best], abs=1e-4)


def test_the_weight_that_tips_the_scales_is_the_one_of_natural_logarithms(arpa: Path) -> None:
    tips = math.log(0.6 / 0.4) / ((-0.2 - -1.0) * math.log(10))
    assert text(decoder(arpa, lm_weight=tips * 0.99).decode(AB_OR_AC)) == "▁ab"
    assert text(decoder(arpa, lm_weight=tips * 1.01).decode(AB_OR_AC)) == "▁ac"


def test_what_greedy_gives_the_search_gives_where_nothing_is_in_doubt(arpa: Path) -> None:
    sure = emission(*[{i: 1} for i in (BLANK, A, A, BLANK, B, BLANK, B, B, END, FIVE, ZERO, UNK, BLANK)])
    assert decoder(arpa).decode(sure, start_frame=7) == ctc.greedy(sure, VOCABULARY, start_frame=7)


def test_a_token_has_the_frames_of_the_path_and_the_posterior_of_the_acoustic_model(arpa: Path) -> None:
    heard = emission({A: 1}, {B: 0.6, C: 0.4}, {B: 0.7, C: 0.3}, {BLANK: 1})
    [_, token] = decoder(arpa).decode(heard, start_frame=100)
    assert (token.piece, token.start_frame, token.end_frame) == ("c", 101, 103)
    assert token.logprob == pytest.approx(math.log(0.4), abs=1e-5)


def test_a_sentence_mark_is_nothing_to_the_language_model(arpa: Path) -> None:
    marked = emission({A: 1}, {END: 1}, {B: 0.6, C: 0.4}, {END: 1})
    plain = emission({A: 1}, {BLANK: 1}, {B: 0.6, C: 0.4}, {BLANK: 1})
    subject = decoder(arpa)
    assert subject.decode(marked) == subject.decode(plain)
    assert subject.best_path(subject.fold(marked), [])[1] == pytest.approx(
        subject.best_path(subject.fold(plain), [])[1], abs=1e-4
    )


def test_silence_is_as_likely_as_in_greedy_decoding(arpa: Path) -> None:
    heard = emission({A: 1}, {BLANK: 0.3, END: 0.3, B: 0.4})
    assert text(decoder(arpa, lm_weight=0.0).decode(heard)) == "▁ab" == text(ctc.greedy(heard, VOCABULARY))


def test_what_the_model_is_sure_of_is_not_changed(arpa: Path) -> None:
    heard = emission({A: 1}, {B: 0.96, C: 0.04}, {BLANK: 1})
    assert text(decoder(arpa, lm_weight=9.0).decode(heard)) == "▁ac"
    assert text(decoder(arpa, lm_weight=9.0, sure_posterior=0.95).decode(heard)) == "▁ab"


def test_a_number_stays_as_it_was_heard_unless_the_language_model_may_change_it(arpa: Path) -> None:
    # heard "5 mg"; the language model has read "50" again and again
    heard = emission({FIVE: 1}, {BLANK: 0.6, ZERO: 0.4}, {MG: 1}, {BLANK: 1})
    assert text(decoder(arpa, lm_weight=3.0).decode(heard)) == "▁5▁mg"
    assert text(decoder(arpa, lm_weight=3.0, lm_numbers=True).decode(heard)) == "▁50▁mg"


def test_a_number_that_was_heard_is_not_read_away(arpa: Path) -> None:
    heard = emission({A: 1}, {ZERO: 0.55, C: 0.45}, {BLANK: 1})
    assert text(decoder(arpa, lm_weight=3.0).decode(heard)) == "▁a0"
    assert text(decoder(arpa, lm_weight=3.0, lm_numbers=True).decode(heard)) == "▁ac"


def test_the_language_model_remembers_across_a_pause(arpa: Path) -> None:
    pause = [{BLANK: 1.0}] * (2 * beam.PAUSE_FRAMES)
    heard = emission({A: 1}, *pause, {B: 0.6, C: 0.4}, *pause)
    assert text(decoder(arpa).decode(heard)) == "▁ac"
    alone = emission({B: 0.6, C: 0.4}, *pause)  # P(b) > P(c) where nothing came before
    assert text(decoder(arpa).decode(alone)) == "b"


def noisy(rng: np.random.Generator, frames: int, *, pauses: bool = True) -> Emission:
    """Posteriors as unsure as speech in noise: peaks of pieces between blanks, now and then a pause."""
    logits = rng.normal(0, 2, (frames, len(PIECES)))
    logits[:, BLANK] += 3
    logits[rng.random(frames) < 0.3, BLANK] -= 6
    if pauses:
        for start in range(0, frames, 60):
            length = int(rng.integers(0, 30))
            logits[start : start + length, BLANK] += 12
    shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted, np.float32)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 700), st.booleans(), st.data())
def test_the_tokens_are_the_same_however_the_frames_come(
    arpa: Path, seed: int, frames: int, pauses: bool, data: st.DataObject
) -> None:
    heard = noisy(np.random.default_rng(seed), frames, pauses=pauses)
    cuts = sorted(data.draw(st.lists(st.integers(0, frames), max_size=12)))
    subject = decoder(arpa, lm_weight=0.5)
    search = subject.search()
    tokens = []
    for part in np.split(heard, cuts):
        tokens += search.push(part)
        assert all(token.end_frame <= search.settled_until for token in tokens)
    tokens += search.push(heard[:0], final=True)
    assert tokens == subject.decode(heard)
    assert search.settled_until == frames


def test_no_frame_is_decoded_again_and_again(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pause, too, and however small the parts: the cost is linear."""
    subject, decoded = decoder(arpa), 0
    best_path = subject.best_path

    def counted(folded: Emission, context: Sequence[int]) -> tuple[np.ndarray, float]:
        nonlocal decoded
        decoded += len(folded)
        return best_path(folded, context)

    monkeypatch.setattr(subject, "best_path", counted)
    search = subject.search()
    for part in np.split(noisy(np.random.default_rng(1), 3000, pauses=False), 300):
        search.push(part)
    assert 3000 - beam.MAX_PHRASE_FRAMES <= decoded <= 3000 + 100
    assert search.settled_until >= 3000 - beam.MAX_PHRASE_FRAMES


def test_a_piece_across_the_end_of_a_phrase_is_one_piece(arpa: Path) -> None:
    held = emission(*[{A: 1}, {BLANK: 1}] * 180, *[{B: 1}] * 60, {BLANK: 1})
    assert text(decoder(arpa).decode(held)) == "▁a" * 180 + "b"


def test_frames_that_are_surely_blank_may_be_left_out(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = decoder(arpa, beam_threshold=10.0, lm_weight=0.5)
    heard = noisy(np.random.default_rng(3), 2000)
    assert len(subject._kept(subject.fold(heard))) < 1850
    found = subject.decode(heard)
    monkeypatch.setattr(subject, "_kept", lambda folded: np.arange(len(folded)))
    assert found == subject.decode(heard)


def test_no_frames_give_no_tokens(arpa: Path) -> None:
    assert decoder(arpa).decode(emission()) == []
