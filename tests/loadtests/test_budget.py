"""The gate: what breaks the budget, and that nothing unmeasured passes."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from loadtests import budget as budgets
from loadtests.budget import FILE, broken, missed_goals
from loadtests.ramp import Step
from loadtests.summary import Summary

BUDGET = budgets.load()
GOOD = Summary(
    machine="x86_64, 2 CPUs",
    model="random",
    steps=[Step(1, 0.4, 20), Step(2, 0.9, 20), Step(3, 2.5, 20)],
    soak_users=1,
    soak_s=600,
    requests=500,
    requests_per_s=0.5,
    latencies={"5 s": (200, 0.4, 0.8)},
    p95_s=0.8,
    failures=[],
    idle_mib=700,
    peak_mib=900,
    soak_mib=850,
    growth_mib=5,
)


def test_a_good_run_keeps_the_budget() -> None:
    assert broken(GOOD, BUDGET) == []
    assert missed_goals(GOOD, BUDGET) == []


BROKEN: dict[str, tuple[Summary, str]] = {
    "late": (replace(GOOD, p95_s=2.01), "p95 of a 5 s clip is 2.01 s; the limit is 2 s"),
    "nothing in the soak": (replace(GOOD, p95_s=None), "no 5 s clip was answered"),
    "no step in time": (replace(GOOD, steps=[Step(1, 3.0, 9), Step(2, None, 0)]), "no number of users"),
    "one wrong answer": (replace(GOOD, failures=["5 s: wrong text"]), "1 answers failed (5 s: wrong text)"),
    "too much memory": (replace(GOOD, peak_mib=3_900), "4.09 GB; the limit is 4 GB"),
    "no memory measured": (replace(GOOD, peak_mib=None), "memory was not measured"),
    "memory that grows": (replace(GOOD, growth_mib=120), "grew by 120 MiB"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_is_enforced(name: str) -> None:
    summary, says = BROKEN[name]
    [found] = broken(summary, BUDGET)
    assert says in found


def test_everything_that_is_broken_is_told() -> None:
    assert len(broken(replace(GOOD, p95_s=9, failures=["x"], peak_mib=9_000), BUDGET)) == 3


def test_the_goal_is_told_and_breaks_nothing() -> None:
    over = replace(GOOD, peak_mib=1_000)
    assert broken(over, BUDGET) == []
    [missed] = missed_goals(over, BUDGET)
    assert "1.05 GB; the goal is 1 GB" in missed


def test_a_soak_without_a_ramp_has_no_steps_to_break() -> None:
    assert broken(replace(GOOD, steps=[]), BUDGET) == []


def test_the_budget_is_that_of_a_small_machine() -> None:
    assert (BUDGET.memory.hard_gb, BUDGET.memory.goal_gb, BUDGET.latency.p95_s) == (4.0, 1.0, 2.0)
    assert BUDGET.failures == 0


@pytest.mark.parametrize("change", [{"failures": -1}, {"failure": 0}, {"memory": {"hard_gb": 0}}])
def test_a_misspelt_budget_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "budget.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(FILE.read_text()), **change}))
    with pytest.raises(ValidationError):
        budgets.load(file)
