"""Terms that decoding favours: names of drugs and people that the model has hardly ever heard.

They are looked for in the posteriors, after decoding: each term, spelled in every way that the pieces allow,
over every stretch of frames that begins and ends between tokens. What a term costs is how much less likely
the frames are with it than with the best piece of each; what it may cost is ``keyword_score`` for each of its
letters, ``MOST_SCORE`` at most. So it comes in where the sound nearly says it; never in place of a number, or
of a piece that was surely heard.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.errors import InvalidRequest, ModelUnavailable
from medasr_service.model.geometry import Emission
from medasr_service.settings import Settings

MAX_TERMS = 500
MAX_LETTERS = 64
MOST_SCORE = 24.0
NEVER = -1e6

Floats = NDArray[np.float64]
Path_ = NDArray[np.int64]


@dataclass(frozen=True)
class Arcs:
    """Every way to spell some terms: an arc is a piece between two places, a place is a number of letters."""

    piece: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    first: NDArray[np.int64]  # the places at which terms begin
    last: NDArray[np.int64]  # and end
    places: int


@dataclass(frozen=True)
class Found:
    """A term over frames [start, end); ``gain`` is what is left of its score."""

    term: int
    start: int
    end: int
    gain: float


class Keywords:
    """The terms of one recording."""

    def __init__(self, terms: Iterable[str], vocabulary: Vocabulary, keyword_score: float) -> None:
        """Raises InvalidRequest where terms are too many or too long, or one cannot be written."""
        self.terms = clean(terms)
        self._vocabulary = vocabulary
        pieces = {p: i for i, p in enumerate(vocabulary.pieces) if i not in vocabulary.silent}
        self._spelled: list[Arcs] = []
        scores = []
        for term in self.terms:
            spelled = WORD_START + term.replace(" ", WORD_START)
            variants = dict.fromkeys((spelled, spelled[0] + spelled[1].upper() + spelled[2:]))
            spellings = [_spell(variant, pieces) for variant in variants]
            if spellings[0] is None:
                raise InvalidRequest(f"keywords: the model cannot write {term!r}.", param="keywords")
            found = [arcs for arcs in spellings if arcs]
            self._spelled += found
            scores += [min(MOST_SCORE, keyword_score * len(term.replace(" ", "")))] * len(found)
        self._scores = np.array(scores)
        self._arcs = _join(self._spelled)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def put(self, path: Path_, folded: Emission, fixed: NDArray[np.bool_]) -> Path_:
        """The path with the terms in it that the posteriors nearly say; ``fixed`` frames stay as they are."""
        pieces, blank = self._vocabulary.pieces, self._vocabulary.blank
        losses = (folded - folded.max(axis=1, keepdims=True)).astype(np.float64)
        losses[fixed] = NEVER
        losses[fixed, path[fixed]] = 0
        may_start = np.append(True, (path[1:] != path[:-1]) | (path[1:] == blank))
        heads = np.array([piece.startswith(WORD_START) for piece in pieces])
        following = path.copy()  # the piece at each frame; where it is the blank, the next one
        for t in range(len(path) - 2, -1, -1):
            if following[t] == blank:
                following[t] = following[t + 1]
        may_end = np.append((following == blank) | heads[following], True)
        may_end[1:-1] &= (path[1:] != path[:-1]) | (path[1:] == blank)
        result = path.copy()
        for found in _apart(self._find(losses, path, may_start, may_end)):
            arcs = self._spelled[found.term]
            rows = slice(found.start, found.end)
            term = _align(arcs, losses[rows], blank)
            if found.end == len(path) or term[-1] != path[found.end]:  # two of the same piece would be one
                result[rows] = term
        return result

    def _find(
        self, losses: Floats, path: Path_, may_start: NDArray[np.bool_], may_end: NDArray[np.bool_]
    ) -> list[Found]:
        """For each frame the term that best ends there, where its score pays for it."""
        arcs, blank = self._arcs, self._vocabulary.blank
        state = _Lattice(arcs)
        found = []
        for t, row in enumerate(losses):
            state.enter(t if may_start[t] else None, path[t - 1] if t else blank)
            state.hear(row, blank)
            if may_end[t + 1]:
                gains = state.reached[arcs.last] + self._scores
                term = int(gains.argmax())
                if gains[term] > 0:
                    start = int(state.reached_start[arcs.last[term]])
                    found.append(Found(term, start, t + 1, float(gains[term])))
        return found


class _Lattice:
    """The best hypotheses in all terms at once, frame by frame: in a piece, or in the blank behind it."""

    def __init__(self, arcs: Arcs) -> None:
        self._arcs = arcs
        self._in = np.full(len(arcs.piece), NEVER)
        self._in_start = np.zeros(len(arcs.piece), np.int64)
        self._rest = np.full(arcs.places, NEVER)
        self._rest_start = np.zeros(arcs.places, np.int64)
        self.reached = np.full(arcs.places, NEVER)  # the best that ends in a piece at each place
        self.reached_start = np.zeros(arcs.places, np.int64)
        self._reached_by = np.full(arcs.places, -1)
        self._order = np.argsort(arcs.target, kind="stable")
        targets = arcs.target[self._order]
        self._groups = np.flatnonzero(np.diff(targets, prepend=-1))
        self._group_places = targets[self._groups]
        self._group_of = np.cumsum(np.diff(targets, prepend=-1) != 0) - 1
        self._opens = np.isin(arcs.source, arcs.first)

    def enter(self, frame: int | None, before: int) -> None:
        """A term may begin at this frame, behind the piece ``before``."""
        self._rest[self._arcs.first] = NEVER if frame is None else 0.0
        self._rest_start[self._arcs.first] = 0 if frame is None else frame
        self._reached_by[self._arcs.first] = before

    def hear(self, losses: Floats, blank: int) -> None:
        arcs = self._arcs
        fresh = self._reached_by[arcs.source] != arcs.piece  # the same piece again needs a blank between
        direct = np.where(fresh, self.reached[arcs.source], NEVER)
        rested = self._rest[arcs.source]
        rested = np.where(self._opens & ~fresh, NEVER, rested)
        come = np.maximum(direct, rested)
        come_start = np.where(
            direct >= rested, self.reached_start[arcs.source], self._rest_start[arcs.source]
        )
        stay = self._in >= come
        self._in_start = np.where(stay, self._in_start, come_start)
        rest_stay = self._rest >= self.reached
        self._rest_start = np.where(rest_stay, self._rest_start, self.reached_start)
        self._rest = np.maximum(self._rest, self.reached) + losses[blank]
        self._in = np.maximum(np.where(stay, self._in, come) + losses[arcs.piece], NEVER)
        ordered = self._in[self._order]
        best = np.maximum.reduceat(ordered, self._groups)
        winners = np.flatnonzero(ordered == best[self._group_of])
        first = winners[np.unique(self._group_of[winners], return_index=True)[1]]
        arc = self._order[first]
        self.reached[self._group_places] = best
        self.reached_start[self._group_places] = self._in_start[arc]
        self._reached_by[self._group_places] = arcs.piece[arc]


def clean(terms: Iterable[str]) -> tuple[str, ...]:
    """Each term once, its white space as single spaces. Raises InvalidRequest beyond the limits."""
    found = tuple(dict.fromkeys(term for each in terms if (term := " ".join(each.split()))))
    if len(found) > MAX_TERMS:
        raise InvalidRequest(f"There are {len(found)} keywords; the limit is {MAX_TERMS}.", param="keywords")
    if long := [term for term in found if len(term) > MAX_LETTERS]:
        raise InvalidRequest(
            f"A keyword has {len(long[0])} characters; the limit is {MAX_LETTERS}.", param="keywords"
        )
    return found


def configured(settings: Settings) -> tuple[str, ...]:
    """The terms of the settings and of their file, one a line. Raises ModelUnavailable."""
    try:
        return clean([*settings.keywords, *read(settings.keywords_file)])
    except InvalidRequest as error:
        raise ModelUnavailable(f"setting keywords: {error.message}") from None


def read(file: Path | None) -> list[str]:
    """The lines of a file of terms. Raises ModelUnavailable where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig").splitlines() if file else []
    except (OSError, UnicodeDecodeError):
        raise ModelUnavailable(f"the keywords file {file} cannot be read") from None


def _spell(spelled: str, pieces: dict[str, int]) -> Arcs | None:
    """Every way to write the letters in pieces; None where there is none."""
    longest = max(map(len, pieces))
    arcs = [
        (pieces[spelled[i:j]], i, j)
        for i in range(len(spelled))
        for j in range(i + 1, min(len(spelled), i + longest) + 1)
        if spelled[i:j] in pieces
    ]
    reached = {0}
    for _, i, j in arcs:  # in order of where they begin
        if i in reached:
            reached.add(j)
    if len(spelled) not in reached:
        return None
    piece, source, target = np.array(arcs).T
    ends = np.array([0]), np.array([len(spelled)])
    return Arcs(piece, source, target, *ends, len(spelled) + 1)


def _join(spelled: Sequence[Arcs]) -> Arcs:
    offsets = np.cumsum([0, *(arcs.places for arcs in spelled)])
    empty = [np.empty(0, np.int64)]

    def joined(name: str) -> NDArray[np.int64]:
        parts = [getattr(arcs, name) + offset for arcs, offset in zip(spelled, offsets, strict=False)]
        return np.concatenate(parts or empty)

    piece = np.concatenate([arcs.piece for arcs in spelled] or empty)
    return Arcs(piece, joined("source"), joined("target"), joined("first"), joined("last"), int(offsets[-1]))


def _apart(found: Iterable[Found]) -> list[Found]:
    """The best of those that overlap."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda each: -each.gain):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return kept


def _align(arcs: Arcs, losses: Floats, blank: int) -> Path_:
    """The best path of one term over all of these frames: it begins with a piece and ends in one."""
    states: list[tuple[int, int]] = [(int(p), int(s)) for p, s in zip(arcs.piece, arcs.source, strict=True)]
    score = {i: losses[0, piece] for i, (piece, source) in enumerate(states) if source == 0}
    rest: dict[int, tuple[float, int]] = {}  # by place: score, and the arc before the blank
    back: list[tuple[dict[int, int | None], dict[int, int]]] = []
    for row in losses[1:]:
        reached: dict[int, tuple[float, int]] = {}
        ending: dict[int, list[int]] = {}
        for i in score:
            ending.setdefault(int(arcs.target[i]), []).append(i)
        for place, ids in ending.items():
            best = max(ids, key=lambda i: score[i])
            reached[place] = score[best], best
        new: dict[int, float] = {}
        came: dict[int, int | None] = {}
        for i, (piece, source) in enumerate(states):
            options = [(score[i], i)] if i in score else []
            options += [(score[j], j) for j in ending.get(source, []) if states[j][0] != piece]
            if source in rest:
                options.append((rest[source][0], -1 - source))
            if options:
                best_score, origin = max(options)
                new[i], came[i] = best_score + row[piece], origin
        new_rest: dict[int, tuple[float, int]] = {}
        rest_came: dict[int, int] = {}
        for place in {*rest, *reached}:
            stayed = rest[place][0] if place in rest else -np.inf
            arrived, arc = reached.get(place, (-np.inf, -1))
            new_rest[place] = max(stayed, arrived) + row[blank], arc
            rest_came[place] = -1 - place if stayed >= arrived else arc
        back.append((came, rest_came))
        score, rest = new, new_rest
    at = max((i for i in score if arcs.target[i] == arcs.last[0]), key=lambda i: score[i])
    path = [at]
    for came, rest_came in reversed(back):
        previous = came[path[-1]] if path[-1] >= 0 else rest_came[-1 - path[-1]]
        assert previous is not None
        path.append(previous)
    return np.array([states[i][0] if i >= 0 else blank for i in reversed(path)])
