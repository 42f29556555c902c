"""The dictation grammar: random phrases, sentences and reports in MedASR's notation.

One in `HELD_OUT` slot fillings of each sentence is kept for evaluation, by a hash that depends on
nothing but the sentence, so training and evaluation texts stay apart whatever the seeds are.
"""

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from training import people
from training.numbers import NUMBER_SLOTS, Word, cardinal

HELD_OUT = 8  # one in eight
LONGEST_SPAN = 36  # tokens: about 18 s of speech
Split = Literal["train", "evaluation"]
Words = tuple[Word, ...]
Kind = Literal["sentence", "sentences", "span", "phrase"]
# One utterance in how many is of which kind.
KINDS: dict[Kind, float] = {"sentence": 0.37, "sentences": 0.25, "span": 0.30, "phrase": 0.08}


class Section(NamedTuple):
    """A heading of a report and the sentences that are said under it."""

    sentences: list[str]
    weight: int
    heading: Word | None


class Part(NamedTuple):
    """A section of a kind of report, with the fewest and the most sentences."""

    section: str
    fewest: int
    most: int


@dataclass(frozen=True)
class Grammar:
    """The tables of a file of templates and the random choices over them, for one split."""

    split: Split
    rng: Random
    marks: dict[str, Word]
    spoken: dict[str, str]
    slots: dict[str, list[str]]
    sections: dict[str, Section]
    reports: dict[str, list[Part]]
    names: list[str] = field(default_factory=list)  # section names, as often as they weigh

    def utterance(self, kind: Kind | None = None) -> Words:
        """One thing to dictate: a phrase, a sentence, several, or a span of a report."""
        kind = kind or self.rng.choices(list(KINDS), list(KINDS.values()))[0]
        name = self.rng.choice(self.names)
        if kind == "sentence":
            return (*self._heading(name, chance=0.3), *self.sentence(name))
        if kind == "sentences":
            words = self.section(name, 2, 3, heading_chance=0.5)
            if self.rng.random() < 0.3:
                words += self._break() + self.section(self.rng.choice(self.names), 1, 1)
            return words
        if kind == "span":
            return self._span(self.report(), 6, LONGEST_SPAN)
        return self._span(self.sentence(name), 1, 5)

    def report(self, kind: str | None = None, *, times: int = 1) -> Words:
        """A whole report, section after section, with `times` as many sentences."""
        parts = self.reports[kind or self.rng.choice(list(self.reports))]
        broken = self.rng.random() < 0.6
        words: Words = ()
        for part in parts:
            if part.section in ("TECHNIQUE", "COMPARISON") and self.rng.random() < 0.3:
                continue
            if words and broken and self.rng.random() < 0.8:
                words += self._break()
            words += self.section(part.section, times * part.fewest, times * part.most)
        return words

    def section(self, name: str, fewest: int, most: int, heading_chance: float = 1.0) -> Words:
        """A heading, perhaps, and `fewest` to `most` sentences of a section."""
        words = self._heading(name, heading_chance)
        for _ in range(self.rng.randint(fewest, most)):
            words += self.sentence(name)
        return words

    def sentence(self, name: str) -> Words:
        """One sentence of the split; a sentence without slots belongs to both splits."""
        while True:
            template = self.rng.choice(self.sections[name].sentences)
            fillings: list[str] = []
            words = _capitalise(self._expand(template, fillings))
            if not fillings or is_held_out(template, fillings) == (self.split == "evaluation"):
                return words

    def _heading(self, name: str, chance: float) -> Words:
        heading = self.sections[name].heading
        if heading is None or self.rng.random() >= chance:
            return ()
        words: Words = (heading,)
        if self.rng.random() < 0.35:
            words += (self.marks[":"],)
        if self.rng.random() < 0.12:
            words += self._break()
        return words

    def _break(self) -> Words:
        return (self.marks["//" if self.rng.random() < 0.85 else "||"],)

    def _span(self, words: Words, fewest: int, most: int) -> Words:
        length = self.rng.randint(fewest, most)
        start = self.rng.randint(0, max(0, len(words) - length))
        return words[start : start + length]

    def _expand(self, template: str, fillings: list[str]) -> Words:
        words: Words = ()
        for token in template.split():
            if token.startswith("%"):
                words += self._fill(token[1:], fillings)
            elif token in self.marks:
                words += (self.marks[token],)
            elif token.isdigit():
                words += (Word(token, cardinal(int(token))),)
            else:
                words += (Word(token, self.spoken.get(token, token)),)
        return words

    def _fill(self, slot: str, fillings: list[str]) -> Words:
        if slot in NUMBER_SLOTS:
            words = NUMBER_SLOTS[slot](self.rng)
            fillings.append(written(words))
            return words
        if slot in people.SLOTS:
            word = people.placeholder(slot, self.rng, self._keeps)
            fillings.append(word.spoken)
            return (word,)
        choice = self.rng.choice(self.slots[slot])
        fillings.append(choice)
        return self._expand(choice, fillings)

    def _keeps(self, name: str) -> bool:
        """Whether the split has a name: training never says those of the evaluation."""
        return is_held_out("", [name]) == (self.split == "evaluation")


def load(split: Split, seed: int, *others: str) -> Grammar:
    """The grammar of templates.toml with its own random numbers.

    With `others`, the sections and reports are those of the last of these files instead; its marks, words and
    slots are added.
    """
    tables: dict[str, Any] = {}
    for name in ("templates.toml", *others):
        found = tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
        for table in ("marks", "spoken", "slots"):
            found[table] = tables.get(table, {}) | found[table]
        tables = found
    sections = {
        name: Section(
            sentences=section["sentences"],
            weight=section["weight"],
            heading=Word(f"[{name}]", name.lower()) if section.get("heading", True) else None,
        )
        for name, section in tables["sections"].items()
    }
    return Grammar(
        split=split,
        rng=Random(seed),
        marks={mark: Word(*word) for mark, word in tables["marks"].items()},
        spoken=tables["spoken"],
        slots={name: alternatives.split("|") for name, alternatives in tables["slots"].items()},
        sections=sections,
        reports={name: [Part(*part) for part in parts] for name, parts in tables["reports"].items()},
        names=[name for name, section in sections.items() for _ in range(section.weight)],
    )


def is_held_out(template: str, fillings: list[str]) -> bool:
    """Whether this filling of the template's slots is kept for evaluation."""
    key = "|".join([template, *fillings]).encode()
    return hashlib.blake2b(key, digest_size=4).digest()[0] % HELD_OUT == 0


def written(words: Words) -> str:
    """The text in MedASR's notation."""
    return " ".join(word.written for word in words)


def spoken(words: Words, rng: Random) -> list[str]:
    """What is said for each word; a stop or comma after some marks makes the voice pause."""
    said = []
    for word in words:
        pause = ""
        if word.written in ("{period}", "{new paragraph}", "{next line}", "{question mark}"):
            pause = "." if rng.random() < 0.5 else ""
        elif word.written in ("{comma}", "{colon}"):
            pause = "," if rng.random() < 0.25 else ""
        said.append(word.spoken + pause)
    return said


def _capitalise(words: Words) -> Words:
    """The words with a capital first letter; tokens such as "{comma}" stay as they are."""
    first = words[0]
    if not first.written[0].islower():
        return words
    return (Word(first.written[0].upper() + first.written[1:], first.spoken), *words[1:])
