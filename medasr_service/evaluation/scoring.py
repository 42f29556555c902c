"""Word and character errors, as the notebook of MedASR counts them; the counting is jiwer's."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import jiwer

NOTEBOOK = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes({"</s>": "", "[^a-z0-9' ]": " "}),
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
    ]
)
"""The normaliser of the notebook, as a table. Braces fall away: {period} counts as the word "period"."""

Operation: TypeAlias = Literal["equal", "substitute", "delete", "insert"]
OPERATIONS: dict[str, Operation] = {name: name for name in get_args(Operation)}
Span: TypeAlias = tuple[int, int]
"""Positions of words, the last one exclusive."""


def normalise(text: str) -> str:
    """What of a text is compared."""
    return str(NOTEBOOK(text))


@dataclass(frozen=True, slots=True)
class Counts:
    """Right units, wrong ones, and those that are missing or too many; words or characters."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def length(self) -> int:
        """Units of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float | None:
        """Errors by units of the reference; None where it has none."""
        return self.errors / self.length if self.length else None


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of an alignment: words of the reference, and what was written for them."""

    operation: Operation
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Terms of one class: how many were said, how many of them are right, how many were made up.

    ``missed`` has what was said, and what stands in its place. ``kept`` says of each one said whether it is
    right. ``words`` are those that the terms are of, ``wrong`` those of them that are lost or replaced.
    """

    said: int = 0
    right: int = 0
    made_up: int = 0
    missed: tuple[tuple[str, str], ...] = ()
    kept: tuple[bool, ...] = ()
    words: int = 0
    wrong: int = 0

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.said + other.said,
            self.right + other.right,
            self.made_up + other.made_up,
            self.missed + other.missed,
            self.kept + other.kept,
            self.words + other.words,
            self.wrong + other.wrong,
        )

    @property
    def rate(self) -> float | None:
        """The WER of these words alone, without what was made up; None where none was said."""
        return self.wrong / self.words if self.words else None


@dataclass(frozen=True, slots=True)
class Score:
    """One recording under one decoding; ``right`` says of each normalised word written whether it is.

    ``kept`` says of each one that was said whether it is there.
    """

    words: Counts
    characters: Counts
    steps: tuple[Step, ...]
    right: tuple[bool, ...]
    kept: tuple[bool, ...]
    classes: Mapping[str, Found]


Finder: TypeAlias = Callable[[Sequence[str]], Iterator[Span]]
"""Normalised words to where in them the words of a class are."""


def _matching(pattern: str) -> Finder:
    compiled = re.compile(pattern)
    return lambda words: ((i, i + 1) for i, word in enumerate(words) if compiled.fullmatch(word))


CLASSES: dict[str, Finder] = {
    "numbers": _matching(
        r".*\d.*|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven"
        r"|eigh|nine)teen|(twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|half|quarter|once|twice"
    ),
    "negations": _matching(
        r"no|not|non|none|nor|neither|never|nothing|without|cannot|.*n't|den(y|ies|ied|ying)|negative"
        r"|absent|absence|lack(s|ed|ing)?"
    ),
}
"""Words whose loss changes what is found, by what the normaliser leaves of them ("95" of "95%")."""


def finder_of(terms: Sequence[str]) -> Finder:
    """Where the terms are, each of one word or several; the longest one first, none over another."""
    wanted = {tuple(normalise(term).split()) for term in terms} - {()}
    longest = max(map(len, wanted), default=0)

    def find(words: Sequence[str]) -> Iterator[Span]:
        at = 0
        while at < len(words):
            sizes = range(min(longest, len(words) - at), 0, -1)
            size = next((size for size in sizes if tuple(words[at : at + size]) in wanted), 0)
            if size:
                yield at, at + size
            at += size or 1

    return find


def score(reference: str, hypothesis: str, classes: Mapping[str, Finder] = CLASSES) -> Score:
    """Compares what was written with what was said."""
    said, written = normalise(reference), normalise(hypothesis)
    words, characters = jiwer.process_words([said], [written]), jiwer.process_characters([said], [written])
    said_words, written_words = said.split(), written.split()
    partner: dict[int, int] = {}  # of the right words: where they are said, where they are written
    steps = []
    for chunk in words.alignments[0]:
        known = range(chunk.ref_start_idx, chunk.ref_end_idx)
        heard = range(chunk.hyp_start_idx, chunk.hyp_end_idx)
        if chunk.type == "equal":
            partner.update(zip(known, heard, strict=True))
        steps.append(
            Step(
                OPERATIONS[chunk.type],
                tuple(said_words[i] for i in known),
                tuple(written_words[i] for i in heard),
            )
        )
    right = frozenset(partner.values())
    return Score(
        words=_counts(words),
        characters=_counts(characters),
        steps=tuple(steps),
        right=tuple(i in right for i in range(len(written_words))),
        kept=tuple(i in partner for i in range(len(said_words))),
        classes={name: _found(find, said_words, written_words, partner) for name, find in classes.items()},
    )


def word_counts(said: str, written: str) -> Counts:
    """Of two texts that are normalised already."""
    return _counts(jiwer.process_words([said], [written]))


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word errors by words of the references, of all texts together."""
    pairs = zip(references, hypotheses, strict=True)
    total = sum((score(*pair, {}).words for pair in pairs), Counts())
    if total.rate is None:
        raise ValueError("the references have no words")
    return total.rate


def _counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> Counts:
    return Counts(output.hits, output.substitutions, output.deletions, output.insertions)


def _found(find: Finder, said: Sequence[str], written: Sequence[str], partner: Mapping[int, int]) -> Found:
    right: Counter[Span] = Counter()
    missed, kept = [], []
    spans = list(find(said))
    for start, end in spans:
        at = partner.get(start, -1)
        whole = at >= 0 and all(partner.get(start + i) == at + i for i in range(end - start))
        kept.append(whole)
        if whole:
            right[at, at + end - start] += 1
        else:
            missed.append((" ".join(said[start:end]), _instead(start, end, said, written, partner)))
    made_up = sum(span not in right for span in find(written))
    places = [i for start, end in spans for i in range(start, end)]
    return Found(
        said=len(spans),
        right=sum(right.values()),
        made_up=made_up,
        missed=tuple(missed),
        kept=tuple(kept),
        words=len(places),
        wrong=sum(i not in partner for i in places),
    )


def _instead(
    start: int, end: int, said: Sequence[str], written: Sequence[str], partner: Mapping[int, int]
) -> str:
    """What is written between the right words around those that were said."""
    before = next((partner[i] + 1 for i in range(start - 1, -1, -1) if i in partner), 0)
    after = next((partner[i] for i in range(end, len(said)) if i in partner), len(written))
    return " ".join(written[before:after])
