"""What became of MedASR's markers, by their kind, and the word errors of the text without them.

In the notebook's count ``{period}`` is the word "period", and ``[unintelligible]`` one that was hardly said.
Here a marker is one thing of its kind (text/markers.py), right where the same one stands in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

from rapidfuzz.distance import Levenshtein

from medasr_service.evaluation.scoring import Counts, Found, normalise, word_counts
from medasr_service.text import raw
from medasr_service.text.markers import Kind

Piece: TypeAlias = tuple[Kind, str]
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "text")


@dataclass(frozen=True, slots=True)
class Marked:
    """Word errors without the markers, and the markers of each kind that was said or written."""

    words: Counts
    kinds: Mapping[str, Found]


def score(reference: str, hypothesis: str) -> Marked:
    """Compares what was written with what was said, both in MedASR's notation."""
    said, written = _pieces(reference), _pieces(hypothesis)
    blocks = Levenshtein.opcodes(said, written)
    right = {
        i: b.dest_start + i - b.src_start
        for b in blocks
        if b.tag == "equal"
        for i in range(b.src_start, b.src_end)
    }
    instead = {i: written[b.dest_start : b.dest_end] for b in blocks for i in range(b.src_start, b.src_end)}
    kinds: dict[str, Found] = {}
    for kind in KINDS:
        places = [i for i, piece in enumerate(said) if piece[0] == kind]
        found = {right[i] for i in places if i in right}
        made_up = sum(piece[0] == kind and at not in found for at, piece in enumerate(written))
        if places or made_up:
            kinds[kind] = Found(
                said=len(places),
                right=len(found),
                made_up=made_up,
                missed=tuple((said[i][1], _text(instead[i])) for i in places if i not in right),
                kept=tuple(i in right for i in places),
                words=len(places),
                wrong=len(places) - len(found),
            )
    return Marked(word_counts(_plain(said), _plain(written)), kinds)


def _pieces(text: str) -> list[Piece]:
    """Normalised words, and markers as one piece each."""
    pieces: list[Piece] = []
    for item in raw.report(text).items:
        if item.kind == "text":
            pieces += [("text", word) for word in normalise(item.text).split()]
        else:
            pieces.append((item.kind, item.text.lower()))
    return pieces


def _plain(pieces: Sequence[Piece]) -> str:
    return " ".join(text for kind, text in pieces if kind == "text")


def _text(pieces: Sequence[Piece]) -> str:
    return " ".join(text for _, text in pieces)
