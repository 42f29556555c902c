"""From samples to figures, Markdown and a picture."""

import json
from pathlib import Path

import pytest

from loadtests import summary as summaries
from loadtests.ramp import Step
from loadtests.recordings import FIVE_SECONDS
from loadtests.summary import Answer, Memory, Summary

STEPS = [Step(1, 0.4, 20), Step(2, None, 0)]


def run() -> tuple[list[Answer], list[Memory]]:
    """A ramp of 20 s, and a soak of 100 s in which the memory rises by 1 MiB a second."""
    answers = [Answer(100.0 + at, "ramp", 1, "5 s", 9.0, "") for at in range(20)]
    answers += [Answer(120.0 + at, "soak", 3, "5 s", 0.5 + at / 1000, "") for at in range(0, 101, 2)]
    answers += [
        Answer(121.0, "soak", 3, "60 s", 4.0, ""),
        Answer(122.0, "soak", 3, "5 s", 99.0, "wrong text"),
    ]
    answers.sort(key=lambda answer: answer.at)
    memory = [Memory(98.0, 300.0), Memory(110.0, 700.0)]
    return answers, memory + [Memory(120.0 + at, 500.0 + at) for at in range(100)]


@pytest.fixture
def summary() -> Summary:
    answers, memory = run()
    return summaries.summarise(answers, memory, STEPS, clip=FIVE_SECONDS, machine="m", model="demo")


def test_the_figures_are_those_of_the_soak(summary: Summary) -> None:
    assert (summary.soak_users, summary.soak_s, summary.requests) == (3, 100, 73)
    assert summary.requests_per_s == pytest.approx(0.53)
    count, middle, most = summary.latencies["5 s"]
    assert count == 51
    assert [middle, most] == pytest.approx([0.55, 0.596])
    assert summary.p95_s == most
    assert summary.failures == ["5 s: wrong text"]


def test_the_growth_is_from_the_first_third_to_the_last(summary: Summary) -> None:
    assert summary.idle_mib == 300
    assert summary.peak_mib == 700
    assert summary.soak_mib == pytest.approx(549.5)
    assert summary.growth_mib == pytest.approx(67)


def test_a_run_without_answers_has_no_figures() -> None:
    empty = summaries.summarise([], [], [], clip=FIVE_SECONDS, machine="m", model="demo")
    assert (empty.p95_s, empty.peak_mib, empty.growth_mib, empty.requests) == (None, None, None, 0)
    assert "not measured" in summaries.to_markdown(empty, [], [])


def test_markdown_tells_the_verdict_first(summary: Summary) -> None:
    text = summaries.to_markdown(summary, ["the memory reached 9 GB"], ["a goal"])
    assert (
        text.index("**broken: the memory reached 9 GB**")
        < text.index("goal missed: a goal")
        < text.index("|")
    )
    assert "| 1 | 0.40 s | 20 |" in text
    assert "| 2 | none answered | 0 |" in text
    assert "| 5 s | 51 | 0.55 s | 0.60 s |" in text
    assert "within the budget" in summaries.to_markdown(summary, [], [])


def test_json_holds_the_same(summary: Summary) -> None:
    body = json.loads(summaries.to_json(summary, ["x"]))
    assert body["broken"] == ["x"]
    assert body["p95_s"] == summary.p95_s
    assert body["steps"][0] == {"users": 1, "p95_s": 0.4, "answers": 20}


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "time,phase,users,name,seconds,failure\n12.5,soak,3,5 s,0.512,\n13.0,soak,3,abandoned,0.2,refused\n"
    )
    (tmp_path / "m.csv").write_text("time,mib,processes\n1.00,300.5,3\n2.00,301.0,3\n3.0")
    assert summaries.read_answers(tmp_path / "a.csv") == [
        Answer(12.5, "soak", 3, "5 s", 0.512, ""),
        Answer(13.0, "soak", 3, "abandoned", 0.2, "refused"),
    ]
    assert summaries.read_memory(tmp_path / "m.csv") == [Memory(1.0, 300.5), Memory(2.0, 301.0)]


def test_the_memory_of_two_parts_is_one(tmp_path: Path) -> None:
    part = "time,mib,processes\n{}.00,300.5,3\n"
    (tmp_path / "m.csv").write_text(part.format(1) + part.format(9))
    assert [sample.at for sample in summaries.read_memory(tmp_path / "m.csv")] == [1.0, 9.0]


@pytest.mark.parametrize("full", [True, False])
def test_the_picture_is_drawn(tmp_path: Path, full: bool) -> None:
    answers, memory = run() if full else ([], [])
    file = tmp_path / "timeline.png"
    summaries.plot(file, answers, memory, clip=FIVE_SECONDS, limit_s=2, hard_mib=3814)
    assert file.read_bytes().startswith(b"\x89PNG")
