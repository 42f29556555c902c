"""Words to text as they come: a marker that is split over two decodes is never written half."""

from collections.abc import Sequence
from dataclasses import replace

from medasr_service.text import dictation
from medasr_service.text.dictation import Cursor, Item
from medasr_service.text.transcript import Word


class Writer:
    """Writes on where it stopped: the texts of all turns, joined, are the text of the session."""

    def __init__(self, *, raw: bool) -> None:
        self.raw = raw
        self._held: list[Word] = []  # may be the start of a marker
        self._cursor = Cursor()
        self._last: Item | None = None  # that was written
        self._started = False
        self.mark()

    def in_marker(self, coming: Sequence[Word] = ()) -> bool:
        """Whether a brace or a bracket would be open behind the words to come."""
        words = [*self._held, *coming]
        return any("{" in word.text or "[" in word.text for word in words[dictation.settled(words) :])

    def push(self, words: Sequence[Word], coming: Sequence[Word] = (), *, final: bool = False) -> list[Word]:
        """The words that later ones cannot change, each with what it writes; ``coming``: what was heard
        behind them, be it sure or not."""
        self._held += words
        count = len(self._held) if final else dictation.settled(self._held, coming)
        ready, self._held = self._held[:count], self._held[count:]
        items = dictation.parse(ready, self._last)
        self._last = items[-1] if items else self._last
        written, self._cursor = dictation.attribute(items, self._cursor)
        begun, self._started = self._started, self._started or bool(written)
        return _as_heard(written, begun=begun) if self.raw else list(written)

    def preview(self, coming: Sequence[Word]) -> str:
        """What it would write were it over here, without the marker that is still open."""
        words = [*self._held, *coming]
        if self.raw:
            return "".join(word.written for word in _as_heard(words, begun=self._started))
        return dictation.render(dictation.parse(_closed(words), self._last), self._cursor)[0]

    def mark(self) -> None:
        """A turn begins here."""
        self._mark = (self._cursor, self._last, self._started)

    def forget(self) -> None:
        """As if nothing had been written since the mark."""
        self._held = []
        self._cursor, self._last, self._started = self._mark


def _as_heard(words: Sequence[Word], *, begun: bool) -> list[Word]:
    """Each word as the model wrote it, with the space before it, but for the first of all."""
    return [
        replace(word, written=(word.space if begun or i else "") + word.text) for i, word in enumerate(words)
    ]


def _closed(words: Sequence[Word]) -> Sequence[Word]:
    """Those before a brace or a bracket that none behind it closes."""
    for i in range(len(words) - 1, -1, -1):
        opens, closes = (max(map(words[i].text.rfind, signs)) for signs in ("{[", "}]"))
        if opens > closes:
            return words[:i]
        if closes >= 0:
            break
    return words
