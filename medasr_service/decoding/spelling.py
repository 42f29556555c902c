"""How terms are written in pieces: every way of each, and all of them in one trie of shared beginnings."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
LETTERS = 0x110000  # that there are in Unicode
_PIECE = ""  # the key under which a letter tree holds a piece that ends there; no letter is empty


class Arc(NamedTuple):
    """A piece between two numbers of letters."""

    piece: int
    source: int
    target: int


class Speller:
    """The pieces of a vocabulary, letter by letter."""

    def __init__(self, pieces: Iterable[tuple[str, int]]) -> None:
        self._tree: dict[str, object] = {}
        for piece, i in pieces:
            at = self._tree
            for letter in piece:
                at = at.setdefault(letter, {})  # type: ignore[assignment]
            at[_PIECE] = i

    def spell(self, term: str) -> list[Arc] | None:
        """Every way to write the letters, in order of where the arcs begin; None where there is none."""
        arcs, reached = [], {0}
        for start in range(len(term)):
            if start not in reached:
                continue
            at: object = self._tree
            for end in range(start, len(term)):
                at = at.get(term[end])  # type: ignore[attr-defined]
                if at is None:
                    break
                if (piece := at.get(_PIECE)) is not None:  # type: ignore[attr-defined]
                    arcs.append(Arc(piece, start, end + 1))
                    reached.add(end + 1)
        return arcs if len(term) in reached else None


@dataclass(frozen=True)
class Trie:
    """Arcs between nodes, in order of their targets; a node is a beginning of terms, 0 the empty one.

    By node: ``own`` is the score of the term that ends there, ``beyond`` the highest of those that end
    later, ``most`` of both; ``term`` is the first that ends there, or -1. The arcs out of a node are
    ``out[out_from[node] : out_from[node + 1]]``.
    """

    piece: Ids
    source: Ids
    target: Ids
    own: Floats
    beyond: Floats
    most: Floats
    term: Ids
    out: Ids
    out_from: Ids

    @classmethod
    def of(cls, terms: Iterable[tuple[str, Iterable[Arc], float]]) -> "Trie":
        """Of each term its letters, its arcs, and its score."""
        nodes: dict[int, int] = {}  # by parent and letter
        parents, ends, scores = [0], [], []
        piece, source, target = array("q"), array("q"), array("q")  # not tuples, which are slow to collect
        for letters, arcs, score in terms:
            path, known = [0], len(parents)
            for letter in letters:
                node = nodes.setdefault(path[-1] * LETTERS + ord(letter), len(parents))
                if node == len(parents):
                    parents.append(path[-1])
                path.append(node)
            for one, start, end in arcs:
                if path[end] >= known:
                    piece.append(one)
                    source.append(path[start])
                    target.append(path[end])
            ends.append(path[-1])
            scores.append(score)
        own, term = np.zeros(len(parents)), np.full(len(parents), -1)
        for i in range(len(ends) - 1, -1, -1):
            term[ends[i]], own[ends[i]] = i, scores[i]
        beyond = [0.0] * len(parents)
        for node in range(len(parents) - 1, 0, -1):  # a node comes after its parent
            beyond[parents[node]] = max(beyond[parents[node]], beyond[node], float(own[node]))
        ids = [np.array(each, np.int64) for each in (piece, source, target)]
        return cls._in_order(ids[0], ids[1], ids[2], own, np.array(beyond), term)

    @classmethod
    def _in_order(
        cls, piece: Ids, source: Ids, target: Ids, own: Floats, beyond: Floats, term: Ids
    ) -> "Trie":
        order = np.lexsort((source, target))
        counts = np.bincount(source, minlength=len(own))
        return cls(
            piece[order],
            source[order],
            target[order],
            own,
            beyond,
            np.maximum(own, beyond),
            term,
            np.argsort(source[order], kind="stable"),
            np.concatenate(([0], np.cumsum(counts))),
        )

    def arcs_out(self, nodes: Ids) -> Ids:
        """All arcs that begin at these nodes."""
        first, counts = self.out_from[nodes], self.out_from[nodes + 1] - self.out_from[nodes]
        before = np.cumsum(counts) - counts
        arcs: Ids = self.out[np.arange(counts.sum()) + np.repeat(first - before, counts)]
        return arcs
