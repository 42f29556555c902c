"""Spoken punctuation and headings, as MedASR writes them, to a readable report.

``{period}`` becomes ".", ``[FINDINGS] {colon}`` becomes "FINDINGS:" on its own line; ``[unintelligible]`` and
``[PatientName]`` stay in the text, to be filled in; ``{end}`` writes nothing. The set of markers is open and
undocumented, so the rules are a table (markers.py) and whatever is not in it stays verbatim, but for marks
that are damaged and known beyond doubt (damage.py). Letters of words are never changed, with one exception: a
word that is all lower-case letters gets a capital at the start of a sentence.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from medasr_service.text import markers
from medasr_service.text.damage import MARKS
from medasr_service.text.items import MAX_MARKER_GAP_S, Item, parse, settled
from medasr_service.text.markers import COMMANDS, UNCLEAR, Command
from medasr_service.text.transcript import Unclear, Word

__all__ = [
    "COMMANDS", "MAX_MARKER_GAP_S", "Cursor", "Item", "attribute", "parse", "render",
    "settled", "unclear",
]  # fmt: skip

_NUMBER = re.compile(r"(\d{1,2})[.)]")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the writing stands between two items: what the next one needs before it."""

    started: bool = False
    pending: str = ""  # white space, or nothing, that the next item takes with it
    capital: bool = True
    after_heading: bool = False
    inline: bool = False  # behind text, a doubt or a placeholder
    mark: str = ""  # with which the text ends
    guessed: bool = False  # and which nobody dictated
    number: int = 0  # of the last item of a numbered list
    open: str = ""  # quotation marks and parentheses that are to be closed


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
    """``render``, word by word: the words of the items, each with what it wrote, and if it is unclear."""
    written: dict[Word, str] = {}
    kinds: dict[Word, str] = {}
    for item in items:
        text, cursor = _write(item, cursor)
        first = next((word for word in item.words if word not in written), item.words[0])
        for word in item.words:
            written[word] = written.get(word, "") + (text if word is first else "")
            if item.kind in UNCLEAR:
                kinds[word] = item.kind
    return tuple(
        replace(word, written=text, unclear=kinds.get(word, "")) for word, text in written.items()
    ), cursor


def unclear(items: Iterable[Item], words: Iterable[Word]) -> tuple[Unclear, ...]:
    """The doubts and placeholders among the items; ``words``: those that ``attribute`` gave, in its order."""
    items = tuple(items)
    now = dict(zip(dict.fromkeys(word for item in items for word in item.words), words, strict=True))
    return tuple(
        Unclear(item.kind, item.text, now[item.words[0]].start, now[item.words[-1]].end)
        for item in items
        if item.kind == "doubt" or item.kind == "placeholder"
    )


def _write(item: Item, cursor: Cursor) -> tuple[str, Cursor]:
    if item.kind == "heading":
        before = "\n\n" if cursor.started else ""
        return before + item.text, Cursor(True, "\n", capital=True, after_heading=True)
    if item.kind == "end":
        return "", replace(cursor, capital=True, inline=False)
    if item.kind == "command":
        return _write_command(item.text, cursor)
    if not item.text.strip(MARKS) and cursor.started and not cursor.inline:
        return _write_guess(item.text, cursor)
    capital = item.kind == "text" and cursor.capital and _is_plain(item.text)
    before = "" if item.glued else cursor.pending
    number = _NUMBER.fullmatch(item.text) if "\n" in before or not cursor.started else None
    return before + (item.text.capitalize() if capital else item.text), replace(
        cursor,
        started=True,
        pending=" ",
        capital=False,
        after_heading=False,
        inline=True,
        mark=item.text[-1] if item.text[-1] in MARKS else "",
        guessed=True,
        number=int(number[1]) if number else cursor.number,
    )


def _write_guess(text: str, cursor: Cursor) -> tuple[str, Cursor]:
    """A mark that the model guessed behind a command: one is enough, and it never begins a line."""
    if cursor.mark:
        return "", cursor
    return text, replace(cursor, capital=cursor.capital or text[-1] not in ",;:", mark=text[-1], guessed=True)


def _write_command(name: str, cursor: Cursor) -> tuple[str, Cursor]:
    if name in markers.NUMBERING:
        before = max("\n", cursor.pending, key=len) if cursor.started else ""
        number = cursor.number + 1
        return f"{before}{number}.", Cursor(True, " ", capital=True, mark=".", number=number)
    if name in markers.EITHER:
        sign, opening, closing = markers.EITHER[name]
        name = closing if sign in cursor.open else opening
    command = markers.command(name)
    if cursor.after_heading and command.text == ":":
        return ":", Cursor(True, "\n", capital=True, mark=":")
    capital = command.sentence_end or (cursor.capital and (not command.left or command.text.isspace()))
    if command.text.isspace():
        widest = max(command.text, cursor.pending, key=len) if cursor.pending.isspace() else command.text
        if command.text == "\t" and "\n" in cursor.pending:
            widest = cursor.pending.rstrip("\t") + "\t"  # a new line that begins with a tab
        ended = "\n\n" in command.text
        return "", replace(
            cursor,
            pending=widest if cursor.started else "",
            capital=capital,
            after_heading=False,
            inline=False,
            open="" if ended else cursor.open,
        )
    after = replace(
        cursor,
        started=True,
        pending="" if command.right else " ",
        capital=capital,
        after_heading=False,
        inline=False,
        mark=command.text if command.text in MARKS else "",
        guessed=False,
        open=_open(command, cursor.open),
    )
    if cursor.guessed and cursor.mark == command.text and command.text in MARKS:
        return "", after  # it was guessed a long pause before
    before = cursor.pending if not command.left or "\n" in cursor.pending else ""
    return before + command.text, after


def _open(command: Command, signs: str) -> str:
    """The signs that are open behind the command."""
    if not command.left and command.right:
        return signs + command.text
    opening = {'"': '"', ")": "(", "]": "["}.get(command.text, "")
    return signs.replace(opening, "", 1) if opening else signs


def _is_plain(word: str) -> bool:
    """All lower-case letters, but for a mark behind: "pH" and "x-ray" are written as they are, everywhere."""
    letters = word[:-1] if word[-1] in MARKS else word
    return letters.isascii() and letters.isalpha() and letters.islower()
