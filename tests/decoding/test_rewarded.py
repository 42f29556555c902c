"""The search with a reward for each piece is flashlight-text's, whatever the posteriors and the weights."""

import math
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("flashlight.lib.text")

from flashlight.lib.text.decoder import (
    LM,
    CriterionType,
    LexiconFreeDecoder,
    LexiconFreeDecoderOptions,
    LMState,
)

from medasr_service.decoding import language_model, rewarded
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission

LN_10 = math.log(10)
VOCABULARY = Vocabulary.load(DEMO_FOLDER)


@pytest.fixture(scope="module")
def kenlm() -> LM:
    return language_model.read(DEMO_FOLDER / language_model.FILE, VOCABULARY)


class Scored(LM):  # type: ignore[misc]
    """The slow way: a language model in Python around the other, which adds the reward."""

    def __init__(self, lm: LM, weight: float, reward: float) -> None:
        super().__init__()
        self._lm, self._weight, self._reward = lm, weight, reward

    def start(self, start_with_nothing: bool) -> LMState:
        return self._lm.start(start_with_nothing)

    def score(self, state: LMState, piece: int) -> tuple[LMState, float]:
        after, log10 = self._lm.score(state, piece)
        return after, self._weight * log10 + self._reward

    def finish(self, state: LMState) -> tuple[LMState, float]:
        return state, 0.0


def slow(
    emission: Emission, kenlm: LM, *, beam: int, tokens: int, threshold: float, weight: float, reward: float
) -> tuple[list[int], float]:
    options = LexiconFreeDecoderOptions(beam, tokens, threshold, 1.0, 0.0, True, CriterionType.CTC)
    blank = VOCABULARY.blank
    scored = Scored(kenlm, weight, reward)  # the decoder does not keep it alive
    decoder = LexiconFreeDecoder(options, scored, blank, blank, [])
    decoder.decode_begin()
    decoder.decode_step(emission.ctypes.data, *emission.shape)
    best = decoder.get_best_hypothesis(0)
    return best.tokens[1:], best.score


def posteriors(seed: int, frames: int, sharpness: float) -> Emission:
    """Pieces that last one to three frames, blanks between most of them, and rivals."""
    rng = np.random.default_rng(seed)
    size = len(VOCABULARY.pieces)
    logits = rng.normal(0, 1, (frames, size)).astype(np.float32)
    logits[:, VOCABULARY.blank] += sharpness / 2
    at = 0
    while at < frames:
        lasts = int(rng.integers(1, 4))
        for piece in rng.integers(0, size, int(rng.integers(1, 4))):
            logits[at : at + lasts, piece] += sharpness * rng.uniform(0.5, 1)
        at += lasts + int(rng.integers(0, 3))
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.ascontiguousarray(logits, np.float32)


def said(path: list[int]) -> list[int]:
    return [piece for piece, _ in groupby(path) if piece != VOCABULARY.blank]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 60),
    sharpness=st.sampled_from([3.0, 8.0, 14.0]),
    beam=st.sampled_from([1, 4, 8, 16]),
    tokens=st.sampled_from([3, 16]),
    threshold=st.sampled_from([6.0, 12.0]),
    weight=st.sampled_from([0.0, 0.3, 0.5]),
    reward=st.sampled_from([-0.5, 0.0, 0.25, 1.5]),
)
def test_the_best_hypothesis_and_its_score_are_the_same(
    kenlm: LM,
    seed: int,
    frames: int,
    sharpness: float,
    beam: int,
    tokens: int,
    threshold: float,
    weight: float,
    reward: float,
) -> None:
    emission = posteriors(seed, frames, sharpness)
    path, score = rewarded.best_path(
        emission,
        kenlm,
        VOCABULARY.blank,
        beam_size=beam,
        beam_size_token=tokens,
        beam_threshold=threshold,
        lm_weight=weight * LN_10,
        piece_score=reward,
    )
    expected, best = slow(
        emission,
        kenlm,
        beam=beam,
        tokens=tokens,
        threshold=threshold,
        weight=weight * LN_10,
        reward=reward,
    )
    assert score == pytest.approx(best, rel=1e-5, abs=1e-4)
    assert said(path) == said(expected)
    assert len(path) == frames
