"""From log-posteriors to tokens to words: greedy CTC (Graves et al., 2006)."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from medasr_service.model.geometry import Emission, FrameGeometry
from medasr_service.text.transcript import WORD_START as WORD_START
from medasr_service.text.transcript import Token, Word


@dataclass(frozen=True)
class Vocabulary:
    """The pieces that the CTC head can emit, by id.

    ``silent`` holds the ids that are never text: the blank, and the sentence marks that the model emits
    at pauses. An unknown piece is text: what the model said is shown, even when it is ``<unk>``.
    """

    pieces: tuple[str, ...]
    blank: int
    silent: frozenset[int]

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """From a checkpoint's tokenizer.json, cut at ``vocab_size``, with the blank at ``pad_token_id``."""
        config = json.loads((folder / "config.json").read_text())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        pieces = tuple(tokenizer.id_to_token(i) or "<unk>" for i in range(config["vocab_size"]))
        blank = config["pad_token_id"]
        sentence_marks = {i for i, piece in enumerate(pieces) if piece in {"<s>", "</s>"}}
        return cls(pieces, blank, frozenset({blank} | sentence_marks))


def greedy(emission: Emission, vocabulary: Vocabulary, *, start_frame: int = 0) -> list[Token]:
    """The best piece of each frame, collapsed. emission: [frames, vocabulary]."""
    return collapse(emission.argmax(axis=1), emission, vocabulary, start_frame=start_frame)


def collapse(
    path: NDArray[np.int64], emission: Emission, vocabulary: Vocabulary, *, start_frame: int = 0
) -> list[Token]:
    """A path, one piece for each frame: repeats merged, then blanks and sentence marks dropped.

    Merging happens on ids, never on text, so that doubled letters survive. path: [frames].
    """
    if not len(path):
        return []
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    ends = np.append(starts[1:], len(path))
    peaks = np.maximum.reduceat(emission[np.arange(len(path)), path], starts)
    return [
        Token(i, vocabulary.pieces[i], start_frame + start, start_frame + end, peak)
        for i, start, end, peak in zip(
            path[starts].tolist(), starts.tolist(), ends.tolist(), peaks.tolist(), strict=True
        )
        if i not in vocabulary.silent
    ]


def words(tokens: Iterable[Token], geometry: FrameGeometry) -> list[Word]:
    """Tokens joined to words: a new one wherever a piece starts with ``▁``.

    A bare ``▁`` is white space of its own, as transformers writes it: ``space`` of the next word keeps it.
    """
    groups: list[list[Token]] = []
    spaces: list[str] = []
    bare = ""
    for token in tokens:
        begins = token.piece.startswith(WORD_START)
        if begins or not groups:
            if groups and not _text(groups[-1]):
                groups.pop()
                bare = spaces.pop()
            groups.append([])
            spaces.append(bare + " " * begins)
            bare = ""
        groups[-1].append(token)
    found = zip(groups, spaces, strict=True)
    return [_word(group, space or " ", geometry) for group, space in found if _text(group)]


def _text(tokens: Sequence[Token]) -> str:
    return "".join(token.piece for token in tokens).replace(WORD_START, "")


def _word(tokens: Sequence[Token], space: str, geometry: FrameGeometry) -> Word:
    return Word(
        text=_text(tokens),
        start=geometry.seconds(tokens[0].start_frame),
        end=geometry.seconds(tokens[-1].end_frame),
        probability=math.exp(min(token.logprob for token in tokens)),
        tokens=tuple(tokens),
        space=space,
    )
