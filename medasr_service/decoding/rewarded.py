"""The search of flashlight-text's LexiconFreeDecoder, with a reward for each piece (beta of pyctcdecode).

That decoder has no such reward. It cannot be folded into the posteriors, which know no difference between a
piece that begins and one that lasts; and a language model written in Python that adds it is asked for every
piece of every hypothesis in every frame, at eight to twelve times the cost of none. Here the language model,
C++ still, is asked once for each piece of each prefix, and only where the piece could stay in the beam: a
language model can only cost. Same hypotheses, same scores; tests/decoding/test_rewarded.py compares the two.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medasr_service.model.geometry import Emission


@dataclass(slots=True, eq=False)
class _Prefix:
    """A sequence of pieces: the state of the language model behind it, and what follows with its score."""

    state: Any
    piece: int
    following: dict[int, tuple["_Prefix", float]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Hypothesis:
    """A prefix and whether it ends in the blank; ``before`` and ``token``: how it came about."""

    score: float
    prefix: _Prefix
    rests: bool
    token: int
    before: "_Hypothesis | None"


def best_path(
    emission: Emission,
    lm: Any,
    blank: int,
    *,
    beam_size: int,
    beam_size_token: int,
    beam_threshold: float,
    lm_weight: float,
    piece_score: float,
) -> tuple[list[int], float]:
    """The piece of each frame, and the score, of the best hypothesis.

    ``lm``: of flashlight-text; ``lm_weight`` and ``piece_score`` as in beam.Weights, on the scores that it
    gives. emission: [frames, pieces].
    """
    beam = [_Hypothesis(0.0, _Prefix(lm.start(False), blank), False, blank, None)]
    best_pieces = np.argsort(-emission, axis=1, kind="stable")[:, :beam_size_token].tolist()
    gain = max(0.0, piece_score)
    for row, pieces in zip(emission.tolist(), best_pieces, strict=True):
        found: list[_Hypothesis] = []
        best = -math.inf
        floor = -math.inf
        for each in beam:
            score, prefix = each.score, each.prefix
            for piece in pieces:
                heard = score + row[piece]
                if heard + gain <= floor:
                    break  # the others are less likely still
                if piece == blank:
                    after, rests = prefix, True
                elif piece == prefix.piece and not each.rests:
                    after, rests = prefix, False
                else:
                    after, cost = prefix.following.get(piece) or _follow(prefix, piece, lm)
                    heard += lm_weight * cost + piece_score
                    rests = False
                if heard > best:
                    best = heard
                    floor = best - beam_threshold
                if heard > floor:
                    found.append(_Hypothesis(heard, after, rests, piece, each))
        beam = _merged(found, floor)[:beam_size]
    return _path(beam[0]), beam[0].score


def _follow(prefix: _Prefix, piece: int, lm: Any) -> tuple[_Prefix, float]:
    state, cost = lm.score(prefix.state, piece)
    prefix.following[piece] = after = _Prefix(state, piece), cost
    return after


def _merged(found: list[_Hypothesis], floor: float) -> list[_Hypothesis]:
    """The best first; the ways to the same prefix are one, as likely as all of them together."""
    kept: dict[tuple[int, bool], _Hypothesis] = {}
    for each in sorted(found, key=lambda each: -each.score):
        if each.score <= floor:
            break
        key = id(each.prefix), each.rests
        if likeliest := kept.get(key):
            high, low = max(likeliest.score, each.score), min(likeliest.score, each.score)
            likeliest.score = high + math.log1p(math.exp(low - high))
        else:
            kept[key] = each
    return sorted(kept.values(), key=lambda each: -each.score)


def _path(last: _Hypothesis) -> list[int]:
    pieces = []
    at: _Hypothesis | None = last
    while at is not None:
        pieces.append(at.token)
        at = at.before
    return pieces[-2::-1]
