"""What the soak calls a problem."""

import pytest

from loadtests.asking import Outcome
from loadtests.chaos import Course, Sample, problems, slope_percent, typical_descriptors

TEXTS = {"clip": "lungs are clear"}


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("plain", "clip", 200, "lungs are clear"),
        Outcome("plain", "clip", 503, None, "not_ready", retry_after=True),
        Outcome("streamed", "clip", 429, None, "busy", retry_after=True),
        Outcome("hung up", "clip", 499),
        Outcome("bad", "clip", 415, None, "unsupported_format"),
        Outcome("live", "clip", 200, "heard otherwise, as it was live"),
    ],
)
def test_a_text_or_an_honest_refusal_is_none(outcome: Outcome) -> None:
    assert problems(Course([outcome]), TEXTS) == []


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("plain", "clip", 200, "lungs are clean"),
        Outcome("native", "clip", 200, "lungs are clean"),
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


def test_a_request_that_was_cut_at_the_end_is_one_and_so_is_a_status() -> None:
    course = Course(cut=[Outcome("plain", "clip", 0, None, "ReadError")], exit_status=1)
    assert len(problems(course, TEXTS)) == 2


def test_memory_is_compared_behind_its_first_third() -> None:
    grows = [Sample(at, mib, 10, 10) for at, mib in enumerate([10, 50, 100, 100, 100, 100, 110, 110, 110])]
    assert slope_percent(grows) == pytest.approx(10)
    assert slope_percent([]) == 0


def test_descriptors_are_told_without_the_bursts() -> None:
    counts = [78, 78, 78, 80, 140, 80, 81, 81, 104]
    assert typical_descriptors([Sample(i, 300.0, count, 20) for i, count in enumerate(counts)]) == (80, 81)
