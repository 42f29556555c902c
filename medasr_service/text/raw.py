"""Raw text of the model, as it is stored, to a report: without a recording, and so without times."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from medasr_service.text import dictation, notices
from medasr_service.text.damage import CLOSERS, OPENERS
from medasr_service.text.dictation import Item
from medasr_service.text.transcript import Warned, Word

_WORD = re.compile(r"(\s*)(\S+)")


@dataclass(frozen=True, slots=True)
class Report:
    """``text`` is the report, ``raw_text`` what it was made from, letter by letter."""

    text: str
    raw_text: str
    items: tuple[Item, ...]
    warnings: tuple[Warned, ...]

    @property
    def verbatim(self) -> list[Item]:
        """Text with a brace or a bracket in it: what looks like a marker and is none of the table."""
        signs = OPENERS + CLOSERS
        return [
            item for item in self.items if item.kind == "text" and any(sign in item.text for sign in signs)
        ]


def report(text: str) -> Report:
    """The report that a raw text makes."""
    items = dictation.parse(words(text))
    warnings = notices.of(len(text.split()), (item.kind for item in items))
    return Report(dictation.render(items)[0], text, tuple(items), warnings)


def words(text: str) -> list[Word]:
    """The words of a text, one after another; their times only part them."""
    found = _WORD.findall(text)
    return [Word(word, float(i), float(i + 1), 1.0, (), space=space) for i, (space, word) in enumerate(found)]


def said(items: Iterable[Item]) -> str:
    """What the model wrote for these items."""
    unique = dict.fromkeys(word for item in items for word in item.words)
    return "".join(word.space * (i > 0) + word.text for i, word in enumerate(unique))
