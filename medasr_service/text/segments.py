"""Words to segments: a segment ends at a pause, or at the end of a sentence, and never inside a marker.

Nor just before punctuation, however late that is said, so that no segment is punctuation alone. Works on a
stream: of the words known so far, only those are cut off that later audio cannot change.
"""

from collections.abc import Sequence
from itertools import pairwise

from medasr_service.text import dictation, markers, sentences
from medasr_service.text.dictation import Item
from medasr_service.text.markers import Command

PAUSE_S = 0.6  # ends a segment
LONG_SEGMENT_S = 5.0  # a segment this long ends with its sentence
VERY_LONG_SEGMENT_S, SHORT_PAUSE_S = 20.0, 0.2  # in one this long, a shorter pause will do
MAX_SEGMENT_S = 30.0  # and at this length it ends at the best place that it has had
_END = Command("", sentence_end=True)
LATE_S = 30.0  # what is said so late belongs to nothing before it, be it punctuation


def cut(
    items: Sequence[Item], pauses_s: Sequence[float], *, known_until_s: float, final: bool
) -> list[Sequence[Item]]:
    """The segments that are complete, in order; what is not returned waits for more words.

    ``pauses_s``: how long nothing sounds behind each item but the last. ``known_until_s``: no word that is
    not among the items starts before. ``final``: nothing follows.
    """
    found: list[Sequence[Item]] = []
    start = at = 0
    places: list[int] = []  # where this segment could have ended
    until = _settled(items, known_until_s, final=final)
    while at < until:
        part = items[start : at + 1]
        end = start
        if at + 1 == len(items):
            end = at + 1
        elif _may_part(part, items[at + 1]):
            places.append(at)
            if _is_over(part, items[at + 1], _pause_s(part, pauses_s[start : at + 1])):
                end = at + 1
            elif _length_s(part) >= MAX_SEGMENT_S:
                end = 1 + max(places, key=lambda i: (*_worth(items, pauses_s, i), i))
        if end > start:
            found.append(items[start:end])
            start, at, places = end, end, []
        else:
            at += 1
    return found


def _settled(items: Sequence[Item], known_until_s: float, *, final: bool) -> int:
    """How many of the items will stay what they are, and so will the one behind each.

    No marker spans a long gap; and the last word may be half a word still.
    """
    if final or not items:
        return len(items)
    if known_until_s - items[-1].words[-1].end > LATE_S:
        return len(items)
    gaps = [_gap_s(before, after) for before, after in pairwise(items)]
    behind_gaps = max((i for i, gap in enumerate(gaps) if gap > dictation.MAX_MARKER_GAP_S), default=-1)
    words = list(dict.fromkeys(word for item in items for word in item.words))
    sure = set(words[: dictation.settled(words[:-1])])
    return max(behind_gaps, sum(item.words[-1] in sure for item in items) - 1)


def _gap_s(before: Item, after: Item) -> float:
    return after.words[0].start - before.words[-1].end


def _length_s(part: Sequence[Item]) -> float:
    return part[-1].words[-1].end - part[0].words[0].start


def _may_part(part: Sequence[Item], following: Item) -> bool:
    """Whether a segment may end between the two: with something said in it, and nothing that leans over."""
    last = part[-1]
    if following.words[0] is last.words[-1] or following.within:
        return False  # "fast{comma}but": two items of one word
    if _gap_s(last, following) > LATE_S or _length_s(part) >= 2 * MAX_SEGMENT_S:
        return True
    if all(map(_command, part)) or _opens(last):
        return False
    return _command(following) is None or _opens(following)


def _command(item: Item) -> Command | None:
    """What a command writes, and an end, which writes nothing; None of what is said."""
    if item.kind == "end":
        return _END
    return markers.command(item.text) if item.kind == "command" else None


def _opens(item: Item) -> bool:
    """Whether it is a command that is written at its right neighbour, and not at its left."""
    command = _command(item)
    return command is not None and not command.left and command.right


def _is_over(part: Sequence[Item], following: Item, pause_s: float) -> bool:
    if pause_s >= PAUSE_S or _gap_s(part[-1], following) > LATE_S:
        return True
    length_s = _length_s(part)
    if following.kind == "heading" or _ends_sentence(part):
        return length_s >= LONG_SEGMENT_S
    return length_s >= VERY_LONG_SEGMENT_S and pause_s >= SHORT_PAUSE_S


def _ends_sentence(part: Sequence[Item]) -> bool:
    """With what is dictated behind its last word, or with the word itself, where the model punctuates."""
    said, commands = _last_said(part)
    if any(not command.text.strip() for command in commands):
        return True
    written = said.text + "".join(command.text for command in commands)
    return sentences.mark(written) == "sentence"


def _last_said(part: Sequence[Item]) -> tuple[Item, Sequence[Command]]:
    """The last item that is no command, and the commands behind it."""
    at = next((i for i in reversed(range(len(part))) if not _command(part[i])), 0)
    return part[at], [command for item in part[at + 1 :] if (command := _command(item))]


def _pause_s(part: Sequence[Item], pauses_s: Sequence[float]) -> float:
    """The longest pause since the last item that is no command: in "daily ... period" it is before it."""
    _, commands = _last_said(part)
    return max(pauses_s[len(part) - 1 - len(commands) : len(part)])


def _worth(items: Sequence[Item], pauses_s: Sequence[float], at: int) -> tuple[float, bool]:
    """How good a place to cut is where none is good: the longest pause, then the end of a clause."""
    return pauses_s[at], _command(items[at]) is not None or sentences.mark(items[at].text) == "clause"
