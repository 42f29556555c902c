"""A transcript cut into subtitle cues, as subtitlers cut them: a pure function of words and times.

A cue is at most ``MAX_LINES`` lines of ``MAX_LINE`` characters, lasts ``MIN_CUE_S`` to ``MAX_CUE_S``, ends at
a pause or a punctuation mark where it can, and keeps a line break of the text. Cues never overlap; joined,
they are the text, up to white space. Where not all of that can be had, this gives way, in this order: the
place of the cut, the shortest length (speech so fast, or a word so near, that there is no second), and only
for a single word the width of the line and the greatest length: a word is never cut.

The cuts are those of least cost over the whole text (dynamic programming, as Knuth and Plass break lines).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from medasr_service.text import sentences
from medasr_service.text.transcript import UNREAD, Transcript, Word

MAX_LINES, MAX_LINE = 2, 42
MIN_CUE_S, MAX_CUE_S = 1.0, 7.0
PAUSE_S = 0.6  # a pause this long is as good a place to cut as the end of a sentence

CUE_COST = 1.0  # fewer cues are better
CUT_COST = {"sentence": 0.0, "clause": 1.0, "": 3.0, "number": 5.0}  # by what the cue ends with
TORN_COST = 100.0  # behind "Dr." or "q.d.", whatever the pause
SENTENCE_COST = 0.4  # of one that ends inside a cue: sentences share one unwillingly
PAUSE_COST = 2.0  # per second of a pause inside a cue beyond half of PAUSE_S
SHORT_COST = 4.0  # per second that is missing to MIN_CUE_S
PARAGRAPH_COST = 3.0  # of a paragraph that ends inside a cue
# Characters by which the second line may be longer or shorter for an end of the first that is so good or bad.
LINE_COST = {"sentence": -12, "clause": -12, "": 0, "number": 8, "abbreviation": 200}
TOO_WIDE_COST = 1000

_SHARE = re.compile(r"(\s*)(\S+)")
_NOTICE = re.compile(r"(\s*)(\S.*)")  # is not parted, or a piece of it could be taken for speech


@dataclass(frozen=True, slots=True)
class Cue:
    """``start`` and ``end`` in seconds; one or two lines."""

    start: float
    end: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """What stands between two white spaces of the text; ``breaks``: the line ends before it."""

    text: str
    start: float
    end: float
    breaks: int

    @property
    def ends(self) -> sentences.Mark:
        return sentences.mark(self.text)


def cut(transcript: Transcript) -> list[Cue]:
    """The cues of a transcript, in order."""
    parts = _parts(transcript.words)
    if not parts:
        return []
    until = [part.start for part in parts[1:]] + [max(transcript.duration, parts[-1].end)]
    cheapest = [0.0] + [float("inf")] * len(parts)
    cut_before = [0] * (len(parts) + 1)
    for first in range(len(parts)):
        for end, inside in _reach(parts, first):
            last = parts[end - 1]
            cost = cheapest[first] + inside + _short_cost(until[end - 1] - parts[first].start)
            if end < len(parts):
                cost += _cut_cost(last, parts[end])
            if cost < cheapest[end]:
                cheapest[end], cut_before[end] = cost, first
    cuts = [len(parts)]
    while cuts[-1]:
        cuts.append(cut_before[cuts[-1]])
    return [_cue(parts[a:b], until[b - 1]) for a, b in pairwise(reversed(cuts))]


def _reach(parts: Sequence[_Part], first: int) -> Iterator[tuple[int, float]]:
    """Where a cue that begins with part ``first`` may end, with the cost of what it holds together."""
    lines, width, cost = 1, len(parts[first].text), CUE_COST
    yield first + 1, cost
    for at in range(first + 1, len(parts)):
        before, part = parts[at - 1], parts[at]
        width += 1 + len(part.text)
        if part.breaks or width > MAX_LINE:
            lines, width = lines + 1, len(part.text)
        too_wide = max(width, len(parts[first].text)) > MAX_LINE
        if lines > MAX_LINES or too_wide or part.end - parts[first].start > MAX_CUE_S:
            return
        cost += SENTENCE_COST * (before.ends == "sentence")
        cost += PAUSE_COST * max(0.0, part.start - before.end - PAUSE_S / 2)
        cost += PARAGRAPH_COST * (part.breaks > 1)
        yield at + 1, cost


def _cut_cost(last: _Part, following: _Part) -> float:
    """By what the cue ends with, and how long nothing follows; a line that ends there tears nothing."""
    if last.ends == "abbreviation":
        return 0.0 if following.breaks else TORN_COST
    return CUT_COST[last.ends] * (1 - min(1.0, (following.start - last.end) / PAUSE_S))


def _short_cost(room_s: float) -> float:
    """Of a cue that nothing else must follow for so long."""
    return SHORT_COST * max(0.0, MIN_CUE_S - room_s)


def _cue(parts: Sequence[_Part], until: float) -> Cue:
    start, end = parts[0].start, parts[-1].end
    return Cue(start, max(end, min(start + MIN_CUE_S, until)), _lines(parts))


def _parts(words: Sequence[Word]) -> list[_Part]:
    """The text in parts, with times in order. A word in several parts shares its time out by letters."""
    parts: list[_Part] = []
    glued = False  # the next share continues the last part
    breaks = 0
    for at, word in enumerate(words):
        shares = (_NOTICE if word.unclear == UNREAD else _SHARE).findall(word.written)
        spans = _spans(word, words[at + 1 :][: len(shares)], [len(text) for _, text in shares])
        for (space, text), (start, end) in zip(shares, spans, strict=True):
            breaks += space.count("\n")
            floor = parts[-1].end if parts else 0.0
            if parts and glued and not space:
                before = parts[-1]
                parts[-1] = replace(before, text=before.text + text, end=max(before.end, end))
            else:
                parts.append(_Part(text, max(start, floor), max(start, end, floor), breaks))
            glued, breaks = True, 0
        if tail := word.written[len("".join(space + text for space, text in shares)) :]:
            glued, breaks = False, breaks + tail.count("\n")
    return parts


def _spans(word: Word, following: Sequence[Word], lengths: Sequence[int]) -> list[tuple[float, float]]:
    """The times of each part of a word's share.

    The share of a heading of several words is with the first of them, and nothing with the others.
    """
    silent = next((i for i, other in enumerate(following) if other.written), len(following))
    spoken = [word, *following[: min(silent, len(lengths) - 1)]]
    if len(spoken) == len(lengths):
        return [(each.start, each.end) for each in spoken]
    done = [sum(lengths[:i]) / max(1, sum(lengths)) for i in range(len(lengths) + 1)]
    length = word.end - word.start
    return [(word.start + a * length, word.start + b * length) for a, b in pairwise(done)]


def _width(parts: Sequence[_Part]) -> int:
    return sum(len(part.text) + 1 for part in parts) - 1


def _lines(parts: Sequence[_Part]) -> tuple[str, ...]:
    """One line where there is room; else two, parted at punctuation where that is near the middle."""
    hard = [at for at, part in enumerate(parts) if part.breaks and at]
    if not hard and (_width(parts) <= MAX_LINE or len(parts) == 1):
        return (" ".join(part.text for part in parts),)

    def unevenness(at: int) -> float:
        widths = _width(parts[:at]), _width(parts[at:])
        too_wide = max(widths) > MAX_LINE
        return too_wide * TOO_WIDE_COST + abs(widths[0] - widths[1]) + LINE_COST[parts[at - 1].ends]

    at = min(hard or range(1, len(parts)), key=unevenness)
    return " ".join(part.text for part in parts[:at]), " ".join(part.text for part in parts[at:])
