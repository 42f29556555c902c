"""From posteriors to tokens to words, on ids, with a vocabulary in the real checkpoint's layout."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import Unigram

from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission, FrameGeometry

PIECES = [
    "<epsilon>",
    "<s>",
    "</s>",
    "<unk>",
    "▁the",
    "▁lung",
    "s",
    "▁",
    "in",
    "f",
    "l",
    "am",
    "▁I",
    "I",
    "▁III",
]
VOCABULARY = Vocabulary(tuple(PIECES), 0, frozenset({0, 1, 2}))
GEOMETRY = FrameGeometry()
BLANK, BOS, EOS, UNK = 0, 1, 2, 3


def emission(frames: list[int], *, best: float = 0.9) -> Emission:
    """One frame for each id, of which that id has the probability ``best``."""
    rest = (1 - best) / (len(PIECES) - 1)
    posteriors = np.full((len(frames), len(PIECES)), rest, np.float32)
    posteriors[np.arange(len(frames)), frames] = best
    return np.log(posteriors)


def texts(*pieces: str, between: bool = False) -> list[str]:
    """The words that these pieces give, each for one frame; a blank between them if asked for."""
    frames = [id_ for piece in pieces for id_ in ([PIECES.index(piece)] + [BLANK] * between)]
    return [word.text for word in ctc.words(ctc.greedy(emission(frames), VOCABULARY), GEOMETRY)]


@pytest.mark.parametrize(
    ("frames", "ids"),
    [
        ([], []),
        ([0, 0, 0], []),
        ([4], [4]),
        ([4, 4, 4], [4]),
        ([4, 0, 4], [4, 4]),
        ([4, 0, 0, 4, 4], [4, 4]),
        ([4, 5, 4], [4, 5, 4]),
        ([0, 4, 4, 0, 5, 6, 6, 0], [4, 5, 6]),
        ([4, EOS, 4], [4, 4]),
        ([4, EOS, EOS, 5, EOS], [4, 5]),
        ([BOS, 4, BOS], [4]),
        ([4, UNK, 5], [4, UNK, 5]),
    ],
)
def test_repeats_merge_and_the_silent_ids_drop(frames: list[int], ids: list[int]) -> None:
    assert [token.id for token in ctc.greedy(emission(frames), VOCABULARY)] == ids


def test_doubled_letters_survive() -> None:
    assert texts("▁", "in", "f", "l", "am", between=True) == ["inflam"]
    assert texts("▁", "in", "l", "l", "am", between=True) == ["inllam"]
    assert texts("▁", "in", "l", "l", "am") == ["inlam"]


def test_three_strokes_stay_three() -> None:
    assert texts("▁I", "I", "I", between=True) == ["III"]
    assert texts("▁III", "▁III") == ["III"]
    assert texts("▁I", "I") == ["II"]  # other ids, same letter: nothing to merge


def test_a_sentence_mark_parts_no_word() -> None:
    assert texts("▁lung", "</s>", "s") == ["lungs"]
    assert texts("▁the", "</s>", "▁lung") == ["the", "lung"]


def test_an_unknown_piece_is_shown() -> None:
    assert texts("▁the", "▁", "<unk>", "▁lung") == ["the", "<unk>", "lung"]


def test_words_begin_at_the_mark() -> None:
    assert texts("▁the", "▁lung", "s", "▁the") == ["the", "lungs", "the"]


def test_a_first_piece_without_the_mark_is_kept() -> None:
    assert texts("s", "▁the") == ["s", "the"]


def test_a_mark_without_letters_is_no_word() -> None:
    assert texts("▁", "▁the", "▁") == ["the"]


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["▁the", "▁", "▁lung"], " the  lung"),
        (["▁the", "▁", "▁", "▁lung", "s"], " the   lungs"),
        (["▁", "▁the"], "  the"),
        (["▁", "in", "▁lung"], " in lung"),
        (["s", "▁", "▁the"], " s  the"),
    ],
)
def test_a_bare_mark_is_white_space_of_its_own(pieces: list[str], text: str) -> None:
    frames = [id_ for piece in pieces for id_ in (PIECES.index(piece), BLANK)]
    words = ctc.words(ctc.greedy(emission(frames), VOCABULARY), GEOMETRY)
    assert "".join(word.space + word.text for word in words) == text


def test_frames_and_scores_of_a_token() -> None:
    frames = emission([0, 4, 4, 4, 0, 5])
    frames[2] = emission([4], best=0.99)[0]
    first, second = ctc.greedy(frames, VOCABULARY, start_frame=100)
    assert (first.piece, first.start_frame, first.end_frame) == ("▁the", 101, 104)
    assert (second.piece, second.start_frame, second.end_frame) == ("▁lung", 105, 106)
    assert math.exp(first.logprob) == pytest.approx(0.99)
    assert math.exp(second.logprob) == pytest.approx(0.9)


def test_a_word_is_as_sure_as_its_weakest_piece() -> None:
    frames = np.concatenate([emission([5], best=0.95), emission([6], best=0.6), emission([4], best=0.8)])
    lungs, the = ctc.words(ctc.greedy(frames, VOCABULARY), GEOMETRY)
    assert (lungs.text, the.text) == ("lungs", "the")
    assert lungs.probability == pytest.approx(0.6)
    assert the.probability == pytest.approx(0.8)


@given(st.lists(st.integers(0, len(PIECES) - 1), max_size=80))
def test_times_are_monotone_and_inside_the_audio(frames: list[int]) -> None:
    seconds = (GEOMETRY.receptive_samples + (len(frames) - 1) * GEOMETRY.frame_samples) / GEOMETRY.sample_rate
    words = ctc.words(ctc.greedy(emission(frames), VOCABULARY), GEOMETRY)
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= word.start < word.end <= seconds for word in words)


@given(st.lists(st.integers(0, len(PIECES) - 1), max_size=60))
def test_every_piece_lands_in_a_word(frames: list[int]) -> None:
    """Against the definition of the collapse, written the slow way."""
    kept = [a for a, b in zip(frames, [None, *frames], strict=False) if a != b and a not in {BLANK, BOS, EOS}]
    words = ctc.words(ctc.greedy(emission(frames), VOCABULARY), GEOMETRY)
    assert "".join(word.text for word in words) == "".join(PIECES[i] for i in kept).replace("▁", "")


@pytest.fixture
def real_layout(tmp_path: Path) -> Path:
    """tokenizer.json and config.json as google/medasr has them: more ids than the CTC head."""
    pieces = [*PIECES, "▁beyond", "▁end"]
    tokenizer = Tokenizer(Unigram([(piece, -1.0) for piece in pieces], unk_id=UNK))
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in pieces[:4]])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config = {"vocab_size": len(PIECES), "pad_token_id": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_vocabulary_ends_where_the_head_ends(real_layout: Path) -> None:
    vocabulary = Vocabulary.load(real_layout)
    assert vocabulary.pieces == tuple(PIECES)
    assert (vocabulary.blank, vocabulary.silent) == (0, frozenset({0, 1, 2}))


def test_the_blank_is_the_padding_token_of_the_configuration(real_layout: Path) -> None:
    (real_layout / "config.json").write_text(json.dumps({"vocab_size": 10, "pad_token_id": 7}))
    vocabulary = Vocabulary.load(real_layout)
    assert vocabulary.blank == 7
    assert vocabulary.silent == {7, 1, 2}


def test_a_head_larger_than_the_tokenizer_shows_unknown_pieces(real_layout: Path) -> None:
    (real_layout / "config.json").write_text(json.dumps({"vocab_size": 20, "pad_token_id": 0}))
    assert Vocabulary.load(real_layout).pieces[17:] == ("<unk>",) * 3


def test_the_demo_vocabulary_fits_its_head(vocabulary: Vocabulary) -> None:
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    assert len(vocabulary.pieces) == config["vocab_size"]
    assert vocabulary.blank in vocabulary.silent
    assert {vocabulary.pieces[i] for i in vocabulary.silent} >= {"</s>"}
    assert any(piece.startswith("▁") for piece in vocabulary.pieces)
