"""Words to items: which of them are text, and which are markers of the five kinds (markers.py, damage.py)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from medasr_service.text import damage, markers, sentences
from medasr_service.text.damage import CLOSERS, MARKS, OPENERS, Marker
from medasr_service.text.markers import COMMANDS, UNCLEAR, Kind
from medasr_service.text.transcript import Word

MAX_MARKER_PARTS = 7  # "{this is the end of the dictation}"
MAX_MARKER_GAP_S = 2.0  # words further apart are not one marker

_SPLIT = [name.replace(" ", "") for name in COMMANDS if " " in name]  # commands of two words
_GLUE = re.compile(r"(?<=[^{\[])(?=[{\[])|(?<=[}\]])(?=[^}\]])")
_GUESS = re.compile(rf"(?<![{re.escape(MARKS)}])[{re.escape(MARKS)}]$")
_ABBREVIATION = re.compile(  # those too that may end a sentence, and single letters: their dot is no guess
    rf"(?:.*\.[^.]+|[A-Za-z]|{sentences.SHORTENED}|Jr|Sr|etc|al)\.", re.IGNORECASE
)
_NO_BRACES = str.maketrans("", "", "{}")


@dataclass(frozen=True, slots=True)
class Item:
    """Text or a marker; ``words`` are what it was made of (a glued word belongs to several).

    ``text`` is the name of a command, an end or a heading, and else what is written. ``glued``: the model
    wrote no space between this and the item before. ``within``: it goes on what looks like a marker, and is
    none of the table; apart, it could be taken for another.
    """

    kind: Kind
    text: str
    words: tuple[Word, ...]
    glued: bool = False
    within: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    word: Word
    glued: bool  # no space before it in what the model wrote


def parse(words: Sequence[Word], after: Item | None = None) -> list[Item]:
    """Words to items, left to right, the longest marker first; never looks further than MAX_MARKER_PARTS.

    ``after``: the item that comes before them, if any.
    """
    parts = _parts(words)
    items: list[Item] = []
    at = 0
    while at < len(parts):
        marker, used = _next(parts[at : at + MAX_MARKER_PARTS])
        before = items[-1] if items else after
        if marker and _fits(marker, before, parts, at + used):
            _put(marker, parts[at : at + used], items)
        else:  # an unknown marker stays whole, whatever its words
            for i, part in enumerate(parts[at : at + used]):
                _put_text(part, items, items[-1] if items else after, within=i > 0)
        at += used
    return items


def _parts(words: Sequence[Word]) -> list[_Part]:
    return [_Part(text, word, glued=i > 0) for word in words for i, text in enumerate(_GLUE.split(word.text))]


def _next(parts: Sequence[_Part]) -> tuple[Marker | None, int]:
    """The marker that starts at the first part, if any does, and how many parts belong together."""
    near = parts[: _near(parts)]
    closing = _closing(near)
    opens = parts[0].text.startswith(tuple(OPENERS))
    for used in range(_before_stray(near, closing), closing - 1, -1):
        if not (opens or parts[used - 1].text.endswith(tuple(CLOSERS))):
            continue
        text = "".join(
            ("" if part.glued or i == 0 else " ") + part.text for i, part in enumerate(parts[:used])
        )
        if marker := damage.read(text):
            return marker, used
    if closing > 1 and (marker := damage.read(parts[0].text)):
        name = parts[0].text.strip(OPENERS + CLOSERS + MARKS + "-")
        if marker.kind == "doubt" or (marker.kind == "placeholder" and markers.LABEL.fullmatch(name)):
            return marker, 1  # "[unintelligible. I know I]": no other marker begins so
    return None, closing


def _near(parts: Sequence[_Part]) -> int:
    """How many parts follow each other without a long pause."""
    gaps = (b.word.start - a.word.end for a, b in pairwise(parts))
    return next((i for i, gap in enumerate(gaps, 1) if gap > MAX_MARKER_GAP_S), len(parts))


def _before_stray(parts: Sequence[_Part], closing: int) -> int:
    """How many parts there are before a bracket that stands apart and closes nothing, or behind one that
    comes first: such are of no marker, or what is one would not be known before the word behind it."""
    for i, part in enumerate(parts):
        if not part.text.strip(OPENERS + CLOSERS):
            if i == 0 and part.text.strip(OPENERS):
                return 1
            if i and i + 1 != closing and not part.glued:
                return i
    return len(parts)


def _closing(parts: Sequence[_Part]) -> int:
    """How many parts the bracket that the first one opens spans; 1 where it opens none, or none closes it."""
    if parts[0].text.startswith(tuple(OPENERS)):
        for used, part in enumerate(parts, 1):
            if used > 1 and any(sign in part.text for sign in OPENERS):
                break
            if any(sign in part.text for sign in CLOSERS):
                return used
    return 1


def _fits(marker: Marker, before: Item | None, parts: Sequence[_Part], end: int) -> bool:
    """Whether a marker can stand here. A heading of the table stands everywhere but inside a sentence; any
    other where a line could begin. A point stands between two numbers."""
    if marker.kind == "heading":
        if before and before.kind == "text" and before.text.lower().strip(MARKS) in markers.LEADS_ON:
            return False
        known = marker.text in markers.HEADINGS
        return known or (_may_begin(before) and sum(map(str.isalpha, marker.text)) >= markers.LEAST_LETTERS)
    if marker.kind == "command" and marker.text in markers.POINTS:
        return (
            before is not None
            and before.kind == "text"
            and before.text[-1:].isdigit()
            and end < len(parts)
            and parts[end].text[:1].isdigit()
            and parts[end].word.start - parts[end - 1].word.end <= MAX_MARKER_GAP_S
        )
    return True


def _may_begin(before: Item | None) -> bool:
    """Whether a line could begin behind this item."""
    if before is None or before.kind in ("heading", "end"):
        return True
    if before.kind == "command":
        command = COMMANDS.get(before.text)
        return command is not None and (command.sentence_end or command.text == ":")
    return before.kind == "text" and before.text.endswith((".", "?", "!", ":"))


def _put(marker: Marker, parts: Sequence[_Part], items: list[Item]) -> None:
    words = tuple(dict.fromkeys(part.word for part in parts))
    if marker.kind == "command" and (command := COMMANDS.get(marker.text)) and command.text in MARKS:
        words = _over_guess(command.text, words, items)
    glued = marker.kind in UNCLEAR and parts[0].glued and _is_inline(items, parts[0].word)
    items.append(Item(marker.kind, marker.text, words, glued))
    if marker.rest:
        items.append(Item("text", marker.rest, (parts[-1].word,), marker.kind in UNCLEAR))


def _over_guess(mark: str, words: tuple[Word, ...], items: list[Item]) -> tuple[Word, ...]:
    """Takes the mark that the model guessed before a dictated one from the text; with the words it was of."""
    if not items or items[-1].kind != "text" or words[0].start - items[-1].words[-1].end > MAX_MARKER_GAP_S:
        return words
    before = items[-1]
    if not _GUESS.search(before.text) or (mark != "." and _ABBREVIATION.fullmatch(before.text)):
        return words
    items.pop()
    if text := before.text[:-1]:
        items.append(replace(before, text=text))
    return tuple(dict.fromkeys((*before.words, *words)))


def _put_text(part: _Part, items: list[Item], before: Item | None, *, within: bool) -> None:
    """As text; glued again to the text before it where no marker came between, or where its word goes on
    the one before (live text: the rest of one that was given out)."""
    glued = part.glued and _is_inline(items, part.word)
    if glued and items[-1].kind == "text":
        last = items.pop()
        items.append(replace(last, text=last.text + part.text))
    else:
        goes_on = not part.glued and not part.word.space and before is not None and before.kind == "text"
        items.append(Item("text", part.text, (part.word,), glued or goes_on, within))


def _is_inline(items: Sequence[Item], word: Word) -> bool:
    """Whether the last item is written in the line, and of this word."""
    return bool(items) and items[-1].kind in ("text", *UNCLEAR) and items[-1].words[-1] is word


def settled(words: Sequence[Word], coming: Sequence[Word] = ()) -> int:
    """How many of the words no later word can change: what waits may be the start of a marker.

    ``coming``: words that follow, the last of them perhaps not whole; "left lung" waits for no parenthesis.
    """
    parts, ahead = _parts(words), _parts(coming)
    recent = range(max(0, len(parts) - MAX_MARKER_PARTS + 1), len(parts))
    growing = next((at for at in recent if _may_grow(parts[at:], ahead)), len(parts))
    if growing == len(parts):
        return len(words)
    starts = [0]  # never inside a marker, nor inside a word
    at = 0
    while at < len(parts) and at <= growing:
        if not parts[at].glued:
            starts.append(at)
        at += _next(parts[at : at + MAX_MARKER_PARTS])[1]
    while starts[-1] and _GUESS.search(parts[starts[-1] - 1].text):
        starts.pop()  # what waits may be, or become, a mark in place of the guessed one
    return sum(not part.glued for part in parts[: starts[-1]])


def _may_grow(parts: Sequence[_Part], ahead: Sequence[_Part]) -> bool:
    """Whether words behind the last part could make a longer marker of all of them, or change what it is;
    ``ahead``: the parts that follow, as far as they are known."""
    name = _letters(parts)
    if len(parts) == 1 and (_GUESS.search(parts[0].text) or name.strip("[]") in markers.POINTS):
        return True
    opens = parts[0].text.startswith(tuple(OPENERS))
    known = name + _letters(ahead)
    return any(
        command.startswith(name) and command != name and _is_start(command, known) for command in _SPLIT
    ) or (opens and not any(sign in part.text for part in parts for sign in CLOSERS))


def _letters(parts: Sequence[_Part]) -> str:
    return "".join(part.text for part in parts).translate(_NO_BRACES).lower()


def _is_start(name: str, text: str) -> bool:
    """Whether one begins with the other."""
    return name.startswith(text) or text.startswith(name)
