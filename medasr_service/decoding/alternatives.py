"""What else the model considered for a word: CTC prefix beam search (Hannun, 2014) over its frames alone."""

from collections import defaultdict

import numpy as np

from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.geometry import Emission
from medasr_service.text.transcript import WORD_START, Reading

BEAM = 16  # prefixes that are kept from frame to frame
PIECES = 10  # of a frame, the likeliest
LEAST = 0.01  # of what was considered: below it, nothing is worth a look
MAX_CLIP_S = 120.0  # of a recording: a word costs some milliseconds
_NEVER = -np.inf
_NOTATION = frozenset("{}[]")  # what is formatted, and no word

_Scores = dict[
    tuple[int, ...], tuple[float, float]
]  # of a prefix that ends in a blank, and in its last piece


def readings(
    emission: Emission, vocabulary: Vocabulary, *, written: str, begins: bool, count: int
) -> tuple[Reading, ...]:
    """The likeliest texts of these frames besides ``written``, at most ``count``, the likeliest first.

    emission: [frames, vocabulary]. ``begins``: a space stands before the word, and so before each reading.
    """
    totals: dict[str, float] = defaultdict(lambda: _NEVER)
    for prefix, (blank, piece) in _search(emission, vocabulary).items():
        text = "".join(vocabulary.pieces[i] for i in prefix)
        if prefix and text.startswith(WORD_START) == begins:
            shown = " ".join(text.replace(WORD_START, " ").split())
            totals[shown] = float(np.logaddexp(totals[shown], np.logaddexp(blank, piece)))
    if not totals:
        return ()
    whole = np.logaddexp.reduce(list(totals.values()))
    shares = {text: float(np.exp(score - whole)) for text, score in totals.items()}
    found = [
        Reading(text, share)
        for text, share in sorted(shares.items(), key=lambda each: -each[1])
        if text and text != written and share >= LEAST and not _NOTATION & set(text)
    ]
    return tuple(found[:count])


def _search(emission: Emission, vocabulary: Vocabulary) -> _Scores:
    beams: _Scores = {(): (0.0, _NEVER)}
    silent = sorted(vocabulary.silent)
    for row in emission:
        likely = [int(i) for i in np.argpartition(-row, PIECES)[:PIECES] if int(i) not in vocabulary.silent]
        pause = float(np.logaddexp.reduce(row[silent]))
        following: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [_NEVER, _NEVER])
        for prefix, (blank, piece) in beams.items():
            either = np.logaddexp(blank, piece)
            stays = following[prefix]
            stays[0] = float(np.logaddexp(stays[0], either + pause))
            if prefix:
                stays[1] = float(np.logaddexp(stays[1], piece + row[prefix[-1]]))
            for i in likely:
                grown = following[(*prefix, i)]
                came = blank if prefix and prefix[-1] == i else either
                grown[1] = float(np.logaddexp(grown[1], came + row[i]))
        best = sorted(following.items(), key=lambda each: -np.logaddexp(each[1][0], each[1][1]))[:BEAM]
        beams = {prefix: (scores[0], scores[1]) for prefix, scores in best}
    return beams
