"""What the soak calls a problem."""

import pytest

from loadtests.asking import Outcome
from loadtests.chaos import Course, Sample, grown, likeness, problems, slope_percent, typical

TEXTS = {"clip": "lungs are clear", "live: clip": "lungs are clear on both sides"}


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("plain", "clip", 200, "lungs are clear"),
        Outcome("plain", "clip", 503, None, "not_ready", retry_after=True),
        Outcome("streamed", "clip", 429, None, "busy", retry_after=True),
        Outcome("hung up", "clip", 499),
        Outcome("bad", "clip", 415, None, "unsupported_format"),
        Outcome("live", "clip", 200, "lungs are clear at both sides"),
    ],
)
def test_a_text_or_an_honest_refusal_is_none(outcome: Outcome) -> None:
    assert problems(Course([outcome]), TEXTS) == []


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("plain", "clip", 200, "lungs are clean"),
        Outcome("native", "clip", 200, "lungs are clean"),
        Outcome("live", "clip", 200, "both sides"),
        Outcome("streamed", "clip", 200, None, "cut short"),
        Outcome("plain", "clip", 500, None, "no error of ours"),
        Outcome("plain", "clip", 503, None, "not_ready", retry_after=False),
        Outcome("plain", "clip", 0, None, "ReadError"),
        Outcome("plain", "clip", 400, None, "invalid_audio"),
        Outcome("bad", "clip", 500, None, "no error of ours"),
    ],
)
def test_anything_else_is_one(outcome: Outcome) -> None:
    assert len(problems(Course([outcome]), TEXTS)) == 1


def test_so_are_a_request_cut_at_the_end_a_status_and_a_model_that_stays_away() -> None:
    course = Course(cut=[Outcome("plain", "clip", 0, None, "ReadError")], exit_status=1, away_s=[3, 120])
    assert len(problems(course, TEXTS)) == 3


def test_memory_is_compared_behind_its_first_third() -> None:
    grows = [Sample(at, mib, 10, 10) for at, mib in enumerate([10, 50, 100, 100, 100, 100, 110, 110, 110])]
    assert slope_percent(grows) == pytest.approx(10)
    assert slope_percent([]) == 0


def test_descriptors_are_told_without_the_bursts() -> None:
    counts = [78, 78, 78, 80, 140, 80, 81, 81, 104]
    samples = [Sample(i, 300.0, count, 20) for i, count in enumerate(counts)]
    assert typical(samples, "descriptors") == (80, 81)
    assert grown(samples) == []


def test_what_grows_is_a_problem() -> None:
    leaks = [Sample(100 * i, 300 + i, 80 + 5 * i, 20 + 3 * i) for i in range(30)]
    assert [each.split()[0] for each in grown(leaks)] == ["memory", "descriptors", "threads"]
    assert grown([]) == []


def test_words_are_alike() -> None:
    assert likeness("a b c d", "a b c d") == 1
    assert likeness("a b", "c d") == 0
