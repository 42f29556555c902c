"""Where terms are nearly said: all of them at once, frame by frame, over the trie that they share.

What a hypothesis costs only grows. One that costs as much as the best of the terms that it may become earns
is given up: it could never pay, so that nothing is lost by that. Of what is left, which is little in speech
that is not made to be hard, the ``MOST_ACTIVE`` cheapest go on: the work for a frame is bounded, whatever the
terms and the sound are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medasr_service.decoding.spelling import Floats, Ids, Trie

MOST_ACTIVE = 1024  # of arcs, and of nodes
NEVER = -1e6
_NONE: Ids = np.empty(0, np.int64)


@dataclass(frozen=True)
class Found:
    """A term over frames [start, end); ``gain`` is what is left of its score, ``loss`` what it cost."""

    term: int
    start: int
    end: int
    gain: float
    loss: float


class Lattice:
    """The best hypothesis in each arc, in the piece itself; and at each node, in the blank behind a piece.

    Scores are losses of at most 0, NEVER where there is no hypothesis; with each goes the frame of its start.
    """

    def __init__(self, trie: Trie) -> None:
        arcs, nodes = len(trie.piece), len(trie.most)
        self._trie = trie
        self._inside, self._inside_start = np.full(arcs, NEVER), np.zeros(arcs, np.int64)
        self._come, self._come_start = np.full(arcs, NEVER), np.zeros(arcs, np.int64)
        self._rest, self._rest_start = np.full(nodes, NEVER), np.zeros(nodes, np.int64)
        self._reached, self._reached_start = np.full(nodes, NEVER), np.zeros(nodes, np.int64)
        self._reached_by = np.full(nodes, -1)  # the piece
        self._arcs = self._resting = self._ended = _NONE  # where there are hypotheses, in order

    def hear(self, losses: Floats, blank: int, *, start: int | None, before: int) -> None:
        """The next frame. start: its number where a term may begin here, behind the piece ``before``."""
        self._rest[0] = NEVER if start is None else 0.0
        self._rest_start[0] = start or 0
        self._reached_by[0] = before
        nodes = _merged(self._resting, self._ended)
        entered = self._enter(nodes if start is None else np.append(0, nodes), losses)
        self._pause(nodes, losses[blank])
        self._go_on(entered, losses)
        self._come[entered] = NEVER

    def found(self, frame: int) -> Found | None:
        """The term that best ends in a piece with the last frame, the one before ``frame``, if it pays."""
        ended = self._ended[self._trie.term[self._ended] >= 0]
        gains = self._reached[ended] + self._trie.own[ended]
        if not len(ended) or not (gain := float(gains.max())) > 0:
            return None
        best = ended[gains == gain]
        node = best[self._trie.term[best].argmin()]
        return Found(
            int(self._trie.term[node]),
            int(self._reached_start[node]),
            frame,
            gain,
            float(self._reached[node]),
        )

    def _enter(self, nodes: Ids, losses: Floats) -> Ids:
        """The arcs that hypotheses may come into now; ``_come`` has their scores."""
        trie = self._trie
        arcs = trie.arcs_out(nodes)
        arcs = arcs[losses[trie.piece[arcs]] + trie.most[trie.target[arcs]] > 0]
        source = trie.source[arcs]
        fresh = self._reached_by[source] != trie.piece[arcs]  # the same piece again needs a blank between
        direct = np.where(fresh, self._reached[source], NEVER)
        rested = np.where(fresh | (source != 0), self._rest[source], NEVER)
        self._come[arcs] = np.maximum(direct, rested)
        self._come_start[arcs] = np.where(
            direct >= rested, self._reached_start[source], self._rest_start[source]
        )
        return arcs

    def _pause(self, nodes: Ids, loss: float) -> None:
        """What was in a piece, or in the blank behind it, may be in the blank now."""
        rest, reached = self._rest[nodes], self._reached[nodes]
        start = np.where(rest >= reached, self._rest_start[nodes], self._reached_start[nodes])
        score = np.maximum(rest, reached) + loss
        self._rest[nodes] = NEVER
        kept = self._cheapest(score, score + self._trie.beyond[nodes] > 0)
        self._resting = nodes[kept]
        self._rest[self._resting], self._rest_start[self._resting] = score[kept], start[kept]

    def _go_on(self, entered: Ids, losses: Floats) -> None:
        """Through the pieces, and to the nodes behind them."""
        trie = self._trie
        arcs = _merged(self._arcs, entered)
        inside, come = self._inside[arcs], self._come[arcs]
        start = np.where(inside >= come, self._inside_start[arcs], self._come_start[arcs])
        score = np.maximum(inside, come) + losses[trie.piece[arcs]]
        self._inside[arcs] = NEVER
        kept = self._cheapest(score, score + trie.most[trie.target[arcs]] > 0)
        arcs, score = arcs[kept], score[kept]
        self._arcs, self._inside[arcs], self._inside_start[arcs] = arcs, score, start[kept]
        self._reached[self._ended] = NEVER
        target = trie.target[arcs]
        firsts = np.flatnonzero(np.diff(target, prepend=-1))
        self._ended = target[firsts]
        if not len(arcs):
            return
        best = np.maximum.reduceat(score, firsts)
        group = np.cumsum(np.diff(target, prepend=-1) != 0) - 1
        winners = np.flatnonzero(score == best[group])
        winners = winners[np.flatnonzero(np.diff(group[winners], prepend=-1))]  # the first of each
        self._reached[self._ended] = best
        self._reached_start[self._ended] = self._inside_start[arcs[winners]]
        self._reached_by[self._ended] = trie.piece[arcs[winners]]

    def _cheapest(self, score: Floats, may_pay: NDArray[np.bool_]) -> Ids:
        """Which hypotheses go on, in order."""
        kept = np.flatnonzero(may_pay)
        if len(kept) > MOST_ACTIVE:
            best = np.argpartition(score[kept], -MOST_ACTIVE)[-MOST_ACTIVE:]
            kept = np.sort(kept[best])
        return kept


def _merged(some: Ids, others: Ids) -> Ids:
    """Each once, in order."""
    both = np.sort(np.concatenate((some, others)))
    return both[np.flatnonzero(np.diff(both, prepend=-1))]
