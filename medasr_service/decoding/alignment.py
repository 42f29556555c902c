"""Which frame is which piece of a term, where the term is known to be."""

from collections.abc import Sequence

import numpy as np

from medasr_service.decoding.spelling import Arc, Floats, Ids

SLACK = 1e-6  # for the order of additions


def align(arcs: Sequence[Arc], losses: Floats, blank: int, least: float) -> Ids:
    """The best path of one term over all of these frames: it begins with a piece and ends in one.

    losses: [frames, vocabulary], at most 0; least: what some path costs: what costs more is not followed.
    """
    least -= SLACK
    out: dict[int, list[int]] = {}
    for i, arc in enumerate(arcs):
        out.setdefault(arc.source, []).append(i)
    score = {i: s for i in out[0] if (s := float(losses[0, arcs[i].piece])) >= least}
    rest: dict[int, tuple[float, int]] = {}  # by place: score, and the arc before the blank
    back: list[tuple[dict[int, int], dict[int, int]]] = []
    for row in losses[1:]:
        ending: dict[int, list[int]] = {}
        for i in score:
            ending.setdefault(arcs[i].target, []).append(i)
        new, came = _go_on(arcs, out, score, ending, rest, row, least)
        new_rest: dict[int, tuple[float, int]] = {}
        rest_came: dict[int, int] = {}
        for place in {*rest, *ending}:
            stayed = rest[place][0] if place in rest else -np.inf
            last = max(ending.get(place, ()), key=lambda i: score[i], default=-1)
            arrived = score[last] if place in ending else -np.inf
            if (at := max(stayed, arrived) + float(row[blank])) >= least:
                new_rest[place] = at, last
                rest_came[place] = -1 - place if stayed >= arrived else last
        back.append((came, rest_came))
        score, rest = new, new_rest
    end = max(arc.target for arc in arcs)
    path = [max((i for i in score if arcs[i].target == end), key=lambda i: score[i])]
    for came, rest_came in reversed(back):
        path.append(came[path[-1]] if path[-1] >= 0 else rest_came[-1 - path[-1]])
    return np.array([arcs[i].piece if i >= 0 else blank for i in reversed(path)])


def _go_on(
    arcs: Sequence[Arc],
    out: dict[int, list[int]],
    score: dict[int, float],
    ending: dict[int, list[int]],
    rest: dict[int, tuple[float, int]],
    row: Floats,
    least: float,
) -> tuple[dict[int, float], dict[int, int]]:
    """The arcs that a frame may be in: their scores, and the arc before each, or -1 - place for a blank."""
    new: dict[int, float] = {}
    came: dict[int, int] = {}
    entered = {i for place in {*ending, *rest} for i in out.get(place, ())}
    for i in sorted({*score, *entered}):
        piece, source, _ = arcs[i]
        options = [(score[i], i)] if i in score else []
        options += [(score[j], j) for j in ending.get(source, ()) if arcs[j].piece != piece]
        if source in rest:
            options.append((rest[source][0], -1 - source))
        if options:
            best, origin = max(options)
            if (at := best + float(row[piece])) >= least:
                new[i], came[i] = at, origin
    return new, came
