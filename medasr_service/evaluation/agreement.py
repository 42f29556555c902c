"""How far two engines agree on what was said, and where they do not: pure functions of what each one heard.

Words and tokens are aligned with the fewest edits (Levenshtein) and compared letter by letter: the case of a
letter and a marker such as {period} count. What a wrong word may do to a patient decides the order in which
differences are listed: numbers, negations, sides, then the rest.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from medasr_service.text.transcript import Word

Best: TypeAlias = NDArray[np.int16]
"""The likeliest piece of each frame of a window, shape [frames]."""

_NUMBERS = """
    zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
    half third thirds quarter quarters first second fourth fifth sixth seventh eighth ninth tenth once twice
    single double triple point plus minus percent ii iii iv vi vii viii ix
    mg mcg ug g kg ml l cc units milligram milligrams microgram micrograms gram grams milliliter milliliters
"""  # and units of dose
_NEGATIONS = """
    no not non nor none never neither nothing nobody nowhere without cannot deny denies denied negative absent
    absence free unable unlikely rule ruled
"""
KINDS: dict[str, frozenset[str]] = {  # in the order in which they are listed
    "number": frozenset(_NUMBERS.split()),
    "negation": frozenset(_NEGATIONS.split()),
    "side": frozenset(["left", "right", "bilateral", "bilaterally", "unilateral", "upper", "lower"]),
}
NEGATING = ("non", "un", "in", "im", "ir", "dis", "an", "a")  # before a word that stands without it elsewhere
OTHER = "word"
CRITICAL = ("number", "negation")


@dataclass(frozen=True, slots=True)
class Heard:
    """What one engine made of a recording: the windows' frames, and words, which have the tokens."""

    frames: tuple[Best, ...]
    words: tuple[Word, ...]

    @property
    def tokens(self) -> list[int]:
        return [token.id for word in self.words for token in word.tokens]

    @property
    def text(self) -> list[str]:
        return [word.text for word in self.words]


@dataclass(frozen=True, slots=True)
class Difference:
    """Words that stand in one text and not in the other, with a word of context on both sides.

    ``start`` in seconds. One of ``reference`` and ``candidate`` may be empty.
    """

    kind: str
    start: float
    reference: str
    candidate: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What an agreement is reckoned from; the counts of several recordings add up."""

    frames: int = 0
    same_frames: int = 0
    tokens: int = 0  # of the reference
    token_edits: int = 0
    words: int = 0  # of the reference
    word_edits: int = 0
    spoken: int = 0  # words that are known to have been said
    reference_errors: int = 0  # against those
    candidate_errors: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def frame_agreement(self) -> float:
        """The share of frames with the same likeliest piece."""
        return self.same_frames / self.frames if self.frames else 1.0

    @property
    def token_agreement(self) -> float:
        """One less the edits for each token of the reference, down to 0."""
        return max(0.0, 1 - _rate(self.token_edits, self.tokens))

    @property
    def wer(self) -> float:
        """Word edits for each word of the reference."""
        return _rate(self.word_edits, self.words)

    @property
    def wer_increase(self) -> float | None:
        """The candidate's WER less the reference's, against what was said; None where that is not known."""
        if not self.spoken:
            return None
        return (self.candidate_errors - self.reference_errors) / self.spoken


def compare(
    reference: Heard, candidate: Heard, spoken: str | None = None
) -> tuple[Counts, tuple[Difference, ...]]:
    """Counts, and differences in the order of time; ``spoken`` is the text that was said, if it is known."""
    frames, same = _frames(reference.frames, candidate.frames)
    said, errors = _against_spoken(spoken, reference, candidate)
    counts = Counts(
        frames=frames,
        same_frames=same,
        tokens=len(reference.tokens),
        token_edits=Levenshtein.distance(reference.tokens, candidate.tokens),
        words=len(reference.words),
        word_edits=Levenshtein.distance(reference.text, candidate.text),
        spoken=said,
        reference_errors=errors[0],
        candidate_errors=errors[1],
    )
    return counts, tuple(_differences(reference.words, candidate.words))


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold: whether ``value`` keeps to it. ``name`` is that of the setting."""

    name: str
    value: float
    limit: float
    passed: bool


def judge(
    counts: Counts,
    differences: Iterable[Difference],
    *,
    min_token_agreement: float,
    max_wer: float,
    max_wer_increase: float,
    max_critical: int,
) -> list[Check]:
    """All but the last in percent; an engine that is better than the reference passes."""
    agreement, wer, increase = 100 * counts.token_agreement, 100 * counts.wer, counts.wer_increase
    critical = sum(each.kind in CRITICAL for each in differences)
    checks = [
        Check("verify_min_token_agreement", agreement, min_token_agreement, agreement >= min_token_agreement),
        Check("verify_max_wer", wer, max_wer, wer <= max_wer),
    ]
    if increase is not None:
        value = 100 * increase
        checks.append(Check("verify_max_wer_increase", value, max_wer_increase, value <= max_wer_increase))
    return [*checks, Check("verify_max_critical", critical, max_critical, critical <= max_critical)]


def normalise(text: str) -> list[str]:
    """Words as the notebook of MedASR compares them: lower case, all but [a-z0-9' ] a space."""
    return re.sub(r"[^a-z0-9']+", " ", text.replace("</s>", " ").lower()).split()


def kind_of(old: Iterable[str], new: Iterable[str]) -> str:
    """The first of KINDS that a word is of which one side has and the other has not; OTHER without."""
    sides = [{part for word in words for part in normalise(word)} for words in (old, new)]
    for kind, known in KINDS.items():
        if any(word in known or _is(kind, word) for word in sides[0] ^ sides[1]):
            return kind
        if kind == "negation" and any(_negates(a, b) or _negates(b, a) for a in sides[0] for b in sides[1]):
            return kind
    return OTHER


def _is(kind: str, word: str) -> bool:
    """By its letters: any digit makes a number."""
    if kind == "number":
        return any(letter.isdigit() for letter in word)
    return kind == "negation" and word.endswith("n't")


def _negates(word: str, other: str) -> bool:
    return any(word == prefix + other for prefix in NEGATING)


def weight(difference: Difference) -> int:
    """Sorts differences: numbers first, then negations, ...; those of a kind stay in their order."""
    return [*KINDS, OTHER].index(difference.kind)


def _frames(reference: Sequence[Best], candidate: Sequence[Best]) -> tuple[int, int]:
    """Frames, and how many have the same likeliest piece; a frame that one lacks is not the same."""
    total = sum(max(len(a), len(b)) for a, b in zip(reference, candidate, strict=True))
    same = 0
    for a, b in zip(reference, candidate, strict=True):
        both = min(len(a), len(b))
        same += int((a[:both] == b[:both]).sum())
    return total, same


def _against_spoken(spoken: str | None, *heard: Heard) -> tuple[int, list[int]]:
    if spoken is None:
        return 0, [0] * len(heard)
    said = normalise(spoken)
    return len(said), [Levenshtein.distance(said, normalise(" ".join(each.text))) for each in heard]


def _differences(reference: Sequence[Word], candidate: Sequence[Word]) -> Iterable[Difference]:
    """Edits that touch each other are one difference."""
    texts = [word.text for word in reference], [word.text for word in candidate]
    blocks = list(Levenshtein.opcodes(*texts))
    at = 0
    while at < len(blocks):
        if blocks[at].tag == "equal":
            at += 1
            continue
        last = at
        while last + 1 < len(blocks) and blocks[last + 1].tag != "equal":
            last += 1
        first, end = blocks[at], blocks[last]
        old = reference[first.src_start : end.src_end]
        new = candidate[first.dest_start : end.dest_end]
        yield Difference(
            kind=kind_of((word.text for word in old), (word.text for word in new)),
            start=(old or new)[0].start,
            reference=" ".join(word.text for word in old),
            candidate=" ".join(word.text for word in new),
            before=" ".join(texts[0][max(0, first.src_start - 1) : first.src_start]),
            after=" ".join(texts[0][end.src_end : end.src_end + 1]),
        )
        at = last + 1


def _rate(edits: int, length: int) -> float:
    return edits / length if length else float(edits > 0)
