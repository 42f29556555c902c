"""Words to segments: a segment ends at a pause, never inside a marker.

Works on a stream: of the words known so far, only those are cut off that later audio cannot change.
"""

from collections.abc import Sequence

from medasr_service.text import dictation
from medasr_service.text.dictation import Item

PAUSE_S = 0.6  # ends a segment
LONG_SEGMENT_S, SHORT_PAUSE_S = 10.0, 0.2  # in a segment this long, a shorter pause will do
MAX_SEGMENT_S = 30.0  # and at this length it ends after any word


def cut(items: Sequence[Item], *, known_until_s: float, final: bool) -> list[Sequence[Item]]:
    """The segments that are complete, in order; what is not returned waits for more words.

    ``known_until_s``: no word that is not among the items starts before. ``final``: nothing follows.
    """
    starts = [*(item.words[0].start for item in items[1:]), known_until_s]
    gaps = [start - item.words[-1].end for start, item in zip(starts, items, strict=False)]
    # no marker spans a long gap; and the last item may be half a word, so that one more than the longest
    # marker must follow
    settled = max((i for i, gap in enumerate(gaps) if gap > dictation.MAX_MARKER_GAP_S), default=-1)
    settled = max(settled, len(items) - dictation.MAX_MARKER_PARTS - 2)
    segments = []
    start = 0
    for i, item in enumerate(items):
        is_last = i + 1 == len(items)
        if not (is_last and final):
            if not (final or i <= settled):
                break
            if not is_last and items[i + 1].words[0] is item.words[-1]:
                continue  # "fast{comma}but": two items of one word
            if gaps[i] < _pause_s(item.words[-1].end - items[start].words[0].start):
                continue
        segments.append(items[start : i + 1])
        start = i + 1
    return segments


def _pause_s(length_s: float) -> float:
    """How long a pause must be to end a segment of this length."""
    if length_s < LONG_SEGMENT_S:
        return PAUSE_S
    return SHORT_PAUSE_S if length_s < MAX_SEGMENT_S else float("-inf")
