"""The words of a transcript as its text shows them: with the marks that touch them, without what is not seen.

The model's own words are pieces of notation: "{period}" is one of them, "{new" another. Shown, punctuation is
part of the word that it touches, the words of a heading are one, and a command that writes nothing but white
space goes with the word that has the white space before it. Nothing is lost: each has the words that it is
made of, and its share of the text; the shares, joined, are the text.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from medasr_service.text.dictation import MAX_MARKER_GAP_S
from medasr_service.text.transcript import Word


@dataclass(frozen=True, slots=True)
class Shown:
    """``text`` is what is seen, ``written`` the same with the white space before it, ``raw`` what the model
    wrote. ``start`` and ``end`` in seconds, of what can be seen; ``probability`` of the least certain of the
    ``words``.
    """

    words: tuple[Word, ...]
    start: float
    end: float

    @property
    def written(self) -> str:
        return "".join(word.written for word in self.words)

    @property
    def text(self) -> str:
        return self.written.strip()

    @property
    def raw(self) -> str:
        return "".join(word.space * (i > 0) + word.text for i, word in enumerate(self.words))

    @property
    def probability(self) -> float:
        return min(word.probability for word in self.words)

    @property
    def unclear(self) -> str:
        """Of the first of its words that is: "doubt" or "placeholder"."""
        return next((word.unclear for word in self.words if word.unclear), "")


def shown(words: Iterable[Word]) -> list[Shown]:
    """In order; of words that write nothing at all there is one, which shows nothing."""
    groups: list[list[Word]] = []
    unseen: list[Word] = []  # before the word that takes them
    for word in words:
        if word.written.strip():
            if groups and _touches(groups[-1], word):
                groups[-1] += [*unseen, word]
            else:
                groups.append([*unseen, word])
            unseen = []
        elif groups and not unseen and not word.text.startswith("{"):
            groups[-1].append(word)  # the rest of a heading, or of a mark
        else:
            unseen.append(word)
    if unseen:
        groups = [*groups[:-1], [*(groups[-1] if groups else []), *unseen]]
    return [_shown(group) for group in groups]


def alone(one: Shown) -> list[Shown]:
    """Each of its words by itself."""
    return [Shown((word,), word.start, word.end) for word in one.words]


def _touches(group: list[Word], word: Word) -> bool:
    """Whether no white space parts the word from those before it."""
    before = "".join(each.written for each in group)
    return not word.written[0].isspace() and not before[-1:].isspace()


def _shown(group: list[Word]) -> Shown:
    """From the first word that is seen, to the last one of its kind or of the same marker."""
    first = next((i for i, word in enumerate(group) if word.written.strip()), 0)
    last = first
    for i in range(first + 1, len(group)):
        near = group[i].start - group[last].end <= MAX_MARKER_GAP_S
        if group[i].written.strip() or (near and last == i - 1 and not group[i].text.startswith("{")):
            last = i
    return Shown(tuple(group), group[first].start, group[last].end)
