"""Terms that decoding favours: names of drugs and people that the model has hardly ever heard.

They are looked for in the posteriors, after decoding: each term, spelled in every way that the pieces allow,
over every stretch of frames that begins and ends between tokens. What a term costs is how much less likely
the frames are with it than with the best piece of each; what it may cost is ``keyword_score`` for each of its
letters, ``MOST_SCORE`` at most. So it comes in where the sound nearly says it; never in place of a number, or
of a piece that was surely heard.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medasr_service.decoding.alignment import align
from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.decoding.lattice import NEVER, Found, Lattice
from medasr_service.decoding.spelling import Arc, Floats, Speller, Trie
from medasr_service.errors import InvalidRequest, ModelUnavailable
from medasr_service.model.geometry import Emission
from medasr_service.settings import Settings
from medasr_service.text.transcript import Warned

MAX_TERMS = 500
MAX_LETTERS = 64
MOST_SCORE = 24.0
MAX_NAMED = 5  # in an error
UNWRITABLE = "keywords_not_writable"

Path_ = NDArray[np.int64]


class Keywords:
    """The terms of one recording; ``unwritable``: those of them for which the model has no pieces."""

    def __init__(self, terms: Iterable[str], vocabulary: Vocabulary, keyword_score: float) -> None:
        """Raises InvalidRequest where terms are too many or too long."""
        self.terms = clean(terms)
        self.unwritable: tuple[str, ...] = ()
        self._vocabulary = vocabulary
        self._speller = Speller((p, i) for i, p in enumerate(vocabulary.pieces) if i not in vocabulary.silent)
        self._spelled: list[str] = []
        self._trie = Trie.of(self._spellings(keyword_score))

    def _spellings(self, keyword_score: float) -> Iterator[tuple[str, list[Arc], float]]:
        """Each term as it is written, and with a capital where there are pieces for that; with its score."""
        for term in self.terms:
            score = min(MOST_SCORE, keyword_score * len(term.replace(" ", "")))
            spelled = WORD_START + term.replace(" ", WORD_START)
            for variant in dict.fromkeys((spelled, spelled[0] + spelled[1].upper() + spelled[2:])):
                if arcs := self._speller.spell(variant):
                    self._spelled.append(variant)
                    yield variant, arcs, score
                elif variant == spelled:
                    self.unwritable += (term,)

    def __bool__(self) -> bool:
        return len(self.terms) > len(self.unwritable)

    def check(self, terms: Iterable[str]) -> None:
        """Raises InvalidRequest where some of these are among the terms, and none can be written."""
        asked = clean(terms)
        if asked and set(asked) <= set(self.unwritable):
            lacks = self._lacks(asked)
            raise InvalidRequest(
                f"keywords: the model cannot write {_named(asked)}{lacks}.", param="keywords"
            )

    def warnings(self, terms: Iterable[str]) -> tuple[Warned, ...]:
        """Names all of these that cannot be written, and the characters that the model lacks."""
        found = [term for term in clean(terms) if term in self.unwritable]
        if not found:
            return ()
        named = ", ".join(map(repr, found)) + self._lacks(found)
        return (Warned(UNWRITABLE, f"The model cannot write these keywords: {named}."),)

    def _lacks(self, terms: Iterable[str]) -> str:
        pieces, silent = self._vocabulary.pieces, self._vocabulary.silent
        writable = (piece for i, piece in enumerate(pieces) if i not in silent and piece != "<unk>")
        known = {" "}.union(*writable)
        missing = dict.fromkeys(letter for term in terms for letter in term if letter not in known)
        return f" (it has no {' '.join(missing)})" if missing else ""

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
            arcs = self._speller.spell(self._spelled[found.term]) or []
            rows = slice(found.start, found.end)
            term = align(arcs, losses[rows], blank, found.loss)
            before = result[found.start - 1] if found.start else blank
            after = result[found.end] if found.end < len(path) else blank
            if term[0] != before and term[-1] != after:  # two of the same piece would be one
                result[rows] = term
        return result

    def _find(
        self, losses: Floats, path: Path_, may_start: NDArray[np.bool_], may_end: NDArray[np.bool_]
    ) -> list[Found]:
        """For each frame the term that best ends there, where its score pays for it."""
        blank = self._vocabulary.blank
        lattice = Lattice(self._trie)
        found = []
        for t, row in enumerate(losses):
            before = int(path[t - 1]) if t else blank
            lattice.hear(row, blank, start=t if may_start[t] else None, before=before)
            if may_end[t + 1] and (best := lattice.found(t + 1)):
                found.append(best)
        return found


def _named(terms: Sequence[str]) -> str:
    more = f" and {len(terms) - MAX_NAMED} more" if len(terms) > MAX_NAMED else ""
    return ", ".join(map(repr, terms[:MAX_NAMED])) + more


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


def _apart(found: Iterable[Found]) -> list[Found]:
    """The best of those that overlap."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda each: -each.gain):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return kept
