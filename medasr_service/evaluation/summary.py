"""What many recordings say together: rates with their uncertainty, and how far to trust a probability."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from medasr_service.evaluation import markers
from medasr_service.evaluation.markers import Marked
from medasr_service.evaluation.results import Result
from medasr_service.evaluation.samples import Sample
from medasr_service.evaluation.scoring import Counts, Finder, Found, Score, normalise, score

Floats: TypeAlias = NDArray[np.float64]

DRAWS, SEED = 2000, 1  # of the bootstrap
DRAWS_AT_ONCE = 100  # bounds its memory
CONFIDENCE = 95  # per cent
BINS = 10  # of the reliability table


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recording under one decoding; without a score where it failed."""

    result: Result
    score: Score | None
    marked: Marked | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording under every decoding."""

    sample: Sample
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Bin:
    """Words whose probability is between ``low`` and ``high``; ``accuracy``: the share that is right."""

    low: float
    high: float
    words: int
    probability: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One decoding over all recordings that it could transcribe.

    ``interval`` is the 95 % bootstrap interval of the WER, by recordings. ``calibration_error`` is the mean
    distance between the probability of words and the share that is right, over the bins, by their words.
    ``plain`` are the word errors of the text without its markers.
    """

    decoding: str
    clips: int
    failed: int
    exact: int
    words: Counts
    characters: Counts
    interval: tuple[float, float] | None
    duration_s: float
    elapsed_s: float
    classes: Mapping[str, Found]
    plain: Counts
    markers: Mapping[str, Found]
    reliability: tuple[Bin, ...]
    calibration_error: float | None

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio for each second of work."""
        return self.duration_s / self.elapsed_s if self.elapsed_s else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the WER of one decoding differs from that of the first, over the recordings that both have.

    ``changes``, of all words and of each class: how many are right with it and were not with the first, and
    how many were right with the first and are not with it.
    """

    decoding: str
    difference: float
    interval: tuple[float, float]
    changes: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that a report shows. ``conditions`` are model and settings, as they are written there."""

    source: str
    conditions: Mapping[str, object]
    clips: tuple[Clip, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]


def clip(sample: Sample, results: Mapping[str, Result], classes: Mapping[str, Finder]) -> Clip:
    """Scores what came out for one recording."""
    return Clip(
        sample,
        {
            decoding: Outcome(result, None, None)
            if result.error
            else Outcome(
                result,
                score(sample.text, result.text, classes),
                markers.score(sample.text, result.text),
            )
            for decoding, result in results.items()
        },
    )


def evaluate(source: str, conditions: Mapping[str, object], clips: Sequence[Clip]) -> Evaluation:
    decodings = list(clips[0].outcomes) if clips else []
    return Evaluation(
        source=source,
        conditions=conditions,
        clips=tuple(clips),
        summaries=tuple(summarise(decoding, clips) for decoding in decodings),
        comparisons=tuple(
            comparison for other in decodings[1:] if (comparison := _compare(decodings[0], other, clips))
        ),
    )


def summarise(decoding: str, clips: Sequence[Clip]) -> Summary:
    outcomes = [clip.outcomes[decoding] for clip in clips]
    scored = [(outcome.result, outcome.score) for outcome in outcomes if outcome.score]
    scores = [each for _, each in scored]
    marked = [outcome.marked for outcome in outcomes if outcome.marked]
    pairs = [judged(result.words, each) for result, each in scored]
    bins = reliability(*(np.concatenate([pair[i] for pair in pairs] or [np.zeros(0)]) for i in (0, 1)))
    return Summary(
        decoding=decoding,
        clips=len(outcomes),
        failed=len(outcomes) - len(scored),
        exact=sum(each.words.errors == 0 for each in scores),
        words=sum((each.words for each in scores), Counts()),
        characters=sum((each.characters for each in scores), Counts()),
        interval=_interval(*_totals(scores)),
        duration_s=sum(result.duration_s for result, _ in scored),
        elapsed_s=sum(result.elapsed_s for result, _ in scored),
        classes=_total(each.classes for each in scores),
        plain=sum((each.words for each in marked), Counts()),
        markers=_total(each.kinds for each in marked),
        reliability=bins,
        calibration_error=calibration_error(bins),
    )


def _total(found: Iterable[Mapping[str, Found]]) -> dict[str, Found]:
    total: dict[str, Found] = {}
    for classes in found:
        for name, each in classes.items():
            total[name] = total.get(name, Found()) + each
    return total


def _totals(scores: Sequence[Score]) -> tuple[Floats, Floats]:
    """Errors and reference words of each recording."""
    return (
        np.array([each.words.errors for each in scores], np.float64),
        np.array([each.words.length for each in scores], np.float64),
    )


def _interval(errors: Floats, lengths: Floats) -> tuple[float, float] | None:
    """Of the errors by the words, over recordings drawn anew."""
    if not lengths.sum():
        return None
    return _bootstrap(lambda times: times @ errors / np.maximum(times @ lengths, 1), len(errors))


def _compare(first: str, other: str, clips: Sequence[Clip]) -> Comparison | None:
    pairs = [(clip.outcomes[first].score, clip.outcomes[other].score) for clip in clips]
    both = [(a, b) for a, b in pairs if a and b]
    errors, lengths = _totals([a for a, _ in both])
    others, _ = _totals([b for _, b in both])
    if not lengths.sum():
        return None
    interval = _bootstrap(lambda times: times @ (others - errors) / np.maximum(times @ lengths, 1), len(both))
    difference = float((others - errors).sum() / lengths.sum())
    return Comparison(other, difference, interval, _changes(both))


def _changes(both: Sequence[tuple[Score, Score]]) -> dict[str, tuple[int, int]]:
    """Won and lost, of words and of the terms of each class."""
    kept = {"words": [(a.kept, b.kept) for a, b in both]}
    for name in both[0][0].classes:
        kept[name] = [(a.classes[name].kept, b.classes[name].kept) for a, b in both]
    return {
        name: (
            sum(not x and y for a, b in pairs for x, y in zip(a, b, strict=True)),
            sum(x and not y for a, b in pairs for x, y in zip(a, b, strict=True)),
        )
        for name, pairs in kept.items()
    }


def _bootstrap(statistic: Callable[[Floats], Floats], clips: int) -> tuple[float, float]:
    """The interval of a statistic of how often each recording is drawn, [draws, clips]; seeded."""
    rng = np.random.default_rng(SEED)
    even = np.full(clips, 1 / clips)
    values = [
        statistic(rng.multinomial(clips, even, size=DRAWS_AT_ONCE).astype(np.float64))
        for _ in range(DRAWS // DRAWS_AT_ONCE)
    ]
    outside = (100 - CONFIDENCE) / 2
    low, high = np.percentile(np.concatenate(values), [outside, 100 - outside])
    return float(low), float(high)


def judged(words: Sequence[tuple[str, float]], score: Score) -> tuple[Floats, Floats]:
    """The probability of each word that was written, and 1.0 where it is right.

    A word of several normalised words ("108/58") is right when all of them are; one of none is left out. No
    word is judged where two are glued together in the text.
    """
    sizes = [len(normalise(text).split()) for text, _ in words]
    if sum(sizes) != len(score.right):
        return np.zeros(0), np.zeros(0)
    starts = np.cumsum([0, *sizes])
    found = [
        (probability, all(score.right[start : start + size]))
        for (_, probability), start, size in zip(words, starts, sizes, strict=False)
        if size
    ]
    return np.array([p for p, _ in found]), np.array([float(right) for _, right in found])


def reliability(probabilities: Floats, right: Floats) -> tuple[Bin, ...]:
    """Words by their probability, in BINS bins of the same width; without the empty ones."""
    places = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            words=int((places == place).sum()),
            probability=float(probabilities[places == place].mean()),
            accuracy=float(right[places == place].mean()),
        )
        for place in sorted(set(places.tolist()))
    )


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """The expected calibration error (Naeini et al., 2015); None without words."""
    words = sum(each.words for each in bins)
    if not words:
        return None
    return sum(each.words * abs(each.probability - each.accuracy) for each in bins) / words
