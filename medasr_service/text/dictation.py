"""Spoken punctuation and headings, as MedASR writes them, to a readable report.

``{period}`` becomes ".", ``[FINDINGS] {colon}`` becomes "FINDINGS:" on its own line. The set of markers is
open and undocumented, so the rules are a table and whatever is not in it stays verbatim. Braces that came
out damaged (``{next} line}``, ``{new paragraph``, ``fast{comma}but``, ``{{period}}``) are repaired only
where the words between them are a command of the table. Letters are never changed, with one exception: a
word that is all lower-case letters gets a capital at the start of a sentence.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from medasr_service.text.transcript import Word

MAX_MARKER_PARTS = 5  # the longest known damage, "{next} para}graph}", has three
MAX_MARKER_GAP_S = 2.0  # words further apart are not one marker


@dataclass(frozen=True, slots=True)
class Command:
    """How a spoken command is written, and whether it touches its left and right neighbours."""

    text: str
    left: bool = True
    right: bool = False
    sentence_end: bool = False


_FULL_STOP = Command(".", sentence_end=True)
_PARAGRAPH = Command("\n\n", right=True, sentence_end=True)
_LINE = Command("\n", right=True, sentence_end=True)

COMMANDS: dict[str, Command] = {
    "period": _FULL_STOP,
    "full stop": _FULL_STOP,
    "comma": Command(","),
    "colon": Command(":"),
    "semicolon": Command(";"),
    "question mark": Command("?", sentence_end=True),
    "exclamation mark": Command("!", sentence_end=True),
    "exclamation point": Command("!", sentence_end=True),
    "new paragraph": _PARAGRAPH,
    "next paragraph": _PARAGRAPH,
    "new line": _LINE,
    "newline": _LINE,
    "next line": _LINE,
    "open quote": Command('"', left=False, right=True),
    "close quote": Command('"'),
    "open paren": Command("(", left=False, right=True),
    "close paren": Command(")"),
    "hyphen": Command("-", right=True),
    "dash": Command("-", left=False),
    "slash": Command("/", right=True),
    "tab": Command("\t", right=True),
}

_SPLIT = [name.replace(" ", "") for name in COMMANDS if " " in name]  # commands of two words
_HEADING = re.compile(r"\[([A-Z][A-Z0-9 /&-]*)\]")
_GLUE = re.compile(r"(?<=[^{])(?=\{)|(?<=\})(?=[^}])|(?<=[^\[])(?=\[)|(?<=\])(?=[^\]])")


@dataclass(frozen=True, slots=True)
class Item:
    """A word, a command or a heading; ``words`` are what it was made of (a glued word belongs to several)."""

    kind: Literal["text", "command", "heading"]
    text: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    word: Word
    glued: bool  # no space before it in what the model wrote


def parse(words: Sequence[Word]) -> list[Item]:
    """Words to items, left to right, the longest marker first; never looks further than MAX_MARKER_PARTS."""
    parts = _parts(words)
    items: list[Item] = []
    at = 0
    while at < len(parts):
        marker, used = _next(parts[at : at + MAX_MARKER_PARTS])
        if marker:
            items.append(marker)
        else:  # an unknown marker stays whole, whatever its words
            for i in range(at, at + used):
                items.append(_verbatim(parts, i, items))
        at += used
    return items


def _parts(words: Sequence[Word]) -> list[_Part]:
    return [_Part(text, word, glued=i > 0) for word in words for i, text in enumerate(_GLUE.split(word.text))]


def _next(parts: Sequence[_Part]) -> tuple[Item | None, int]:
    """The marker that starts at the first part, if any does, and how many parts belong together."""
    closing = _closing(parts)
    if marker := _marker(parts, at_least=closing):
        return marker
    return None, closing


def _closing(parts: Sequence[_Part]) -> int:
    """How many parts the brace that the first one opens spans; 1 where it opens none, or none closes it."""
    if parts[0].text.startswith("{"):
        for used, part in enumerate(parts, 1):
            if "}" in part.text:
                return used
            if used > 1 and "{" in part.text:
                break
    return 1


def _marker(parts: Sequence[_Part], *, at_least: int) -> tuple[Item, int] | None:
    """The longest marker that starts at the first part, with the number of parts that it takes."""
    gaps = pairwise(parts)
    near = next(
        (i for i, (a, b) in enumerate(gaps, 1) if b.word.start - a.word.end > MAX_MARKER_GAP_S), len(parts)
    )
    for used in range(near, at_least - 1, -1):
        span = parts[:used]
        text = "".join(("" if part.glued or i == 0 else " ") + part.text for i, part in enumerate(span))
        source = tuple(dict.fromkeys(part.word for part in span))
        if heading := _HEADING.fullmatch(text):
            return Item("heading", heading[1], source), used
        name = text.translate({ord("{"): "", ord("}"): ""}).lower()
        if (text.startswith("{") or text.endswith("}")) and name in COMMANDS:
            return Item("command", name, source), used
    return None


def _verbatim(parts: Sequence[_Part], at: int, items: list[Item]) -> Item:
    """The part at ``at`` as text; glued again to the text before it where no marker came between."""
    part = parts[at]
    if part.glued and items and items[-1].kind == "text" and items[-1].words[-1] is part.word:
        before = items.pop()
        return Item("text", before.text + part.text, before.words)
    return Item("text", part.text, (part.word,))


def settled(words: Sequence[Word]) -> int:
    """How many of the words no later word can change: what waits may be the start of a marker."""
    parts = _parts(words)
    recent = range(max(0, len(parts) - MAX_MARKER_PARTS + 1), len(parts))
    growing = next((at for at in recent if _may_grow(parts[at:])), len(parts))
    cut = at = 0
    while at < len(parts) and at <= growing:  # never inside a marker, nor inside a word
        cut = cut if parts[at].glued else at
        at += _next(parts[at : at + MAX_MARKER_PARTS])[1]
    if growing == len(parts):
        return len(words)
    return sum(not part.glued for part in parts[:cut])


def _may_grow(parts: Sequence[_Part]) -> bool:
    """Whether words behind the last part could make a longer marker of all of them."""
    name = "".join(part.text for part in parts).translate({ord("{"): "", ord("}"): ""}).lower()
    opens = next((pair for pair in ("{}", "[]") if parts[0].text.startswith(pair[0])), "")
    return any(command.startswith(name) and command != name for command in _SPLIT) or (
        opens != "" and not any(opens[1] in part.text for part in parts)
    )


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the writing stands between two items: what the next one needs before it."""

    started: bool = False
    pending: str = ""  # white space, or nothing, that the next item takes with it
    capital: bool = True
    after_heading: bool = False


def render(items: Iterable[Item], cursor: Cursor = Cursor()) -> tuple[str, Cursor]:
    """The text of the items that follow ``cursor``, and the cursor behind them.

    Rendering a list in pieces gives the same text as rendering it whole.
    """
    out: list[str] = []
    for item in items:
        text, cursor = _write(item, cursor)
        out.append(text)
    return "".join(out), cursor


def attribute(items: Iterable[Item], cursor: Cursor = Cursor()) -> tuple[tuple[Word, ...], Cursor]:
    """``render``, word by word: the words of the items, each with what it wrote."""
    written: dict[Word, str] = {}
    for item in items:
        text, cursor = _write(item, cursor)
        for word in item.words:
            written[word] = written.get(word, "") + text
            text = ""  # the first word has it all
    return tuple(replace(word, written=text) for word, text in written.items()), cursor


def _write(item: Item, cursor: Cursor) -> tuple[str, Cursor]:
    if item.kind == "heading":
        before = "\n\n" if cursor.started else ""
        return before + item.text, Cursor(True, "\n", capital=True, after_heading=True)
    if item.kind == "text":
        text = item.text.capitalize() if cursor.capital and _is_plain(item.text) else item.text
        return cursor.pending + text, Cursor(True, " ", capital=False)
    command = COMMANDS[item.text]
    if cursor.after_heading and command.text == ":":
        return ":", Cursor(True, "\n", capital=True)
    capital = command.sentence_end or (cursor.capital and (not command.left or command.text.isspace()))
    if command.text.isspace():
        widest = max(command.text, cursor.pending, key=len) if cursor.pending.isspace() else command.text
        return "", Cursor(cursor.started, widest if cursor.started else "", capital=capital)
    before = cursor.pending if not command.left or "\n" in cursor.pending else ""
    return before + command.text, Cursor(True, "" if command.right else " ", capital=capital)


def _is_plain(word: str) -> bool:
    """All lower-case letters: "pH", "mmHg" and "x-ray" are written as they are, everywhere."""
    return word.isascii() and word.isalpha() and word.islower()
