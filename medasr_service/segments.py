"""Words to segments: a segment ends at a pause, never inside a marker.

Works on a stream: of the words known so far, only those are cut off that later audio cannot change.
"""

from collections.abc import Sequence

from medasr_service import dictation
from medasr_service.dictation import Item

PAUSE_S = 0.6  # ends a segment
LONG_SEGMENT_S, SHORT_PAUSE_S = 10.0, 0.2  # in a segment this long, a shorter pause will do
MAX_SEGMENT_S = 30.0  # and at this length it ends after any word


def cut(items: Sequence[Item], *, known_until_s: float, final: bool) -> list[Sequence[Item]]:
    """The segments that are complete, in order; what is not returned waits for more words.

    ``known_until_s``: no word that is not among the items starts before. ``final``: nothing follows.
    """
    segments = []
    start = 0
    for i, item in enumerate(items):
        end_s = item.words[-1].end
        is_last = i + 1 == len(items)
        next_s = known_until_s if is_last else items[i + 1].words[0].start
        if not (is_last and final):
            # the last item may be half a word: one more than the longest marker must be known
            followed = len(items) - i > dictation.MAX_MARKER_PARTS + 1
            if not (final or followed or known_until_s - end_s > dictation.MAX_MARKER_GAP_S):
                break
            if not is_last and items[i + 1].words[0] is item.words[-1]:
                continue  # "fast{comma}but": two items of one word
            if next_s - end_s < _pause_s(end_s - items[start].words[0].start):
                continue
        segments.append(items[start : i + 1])
        start = i + 1
    return segments


def _pause_s(length_s: float) -> float:
    """How long a pause must be to end a segment of this length."""
    if length_s < LONG_SEGMENT_S:
        return PAUSE_S
    return SHORT_PAUSE_S if length_s < MAX_SEGMENT_S else float("-inf")
