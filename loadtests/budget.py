"""The budget that a load test is held to: config/budget.yaml."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from loadtests.summary import Summary

FILE = Path(__file__).parent.parent / "config" / "budget.yaml"
MIB_PER_GB = 1e9 / (1 << 20)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(_Part):
    clip: str
    p95_s: float = Field(gt=0)


class Memory(_Part):
    hard_gb: float = Field(gt=0)
    goal_gb: float = Field(gt=0)
    growth_mb: float = Field(gt=0)


class Budget(_Part):
    latency: Latency
    failures: int = Field(ge=0)
    memory: Memory


def load(file: Path = FILE) -> Budget:
    return Budget.model_validate(yaml.safe_load(file.read_text()))


def broken(summary: Summary, budget: Budget) -> list[str]:
    """A sentence for each rule that the run broke; what was not measured is broken too."""
    limit_s, clip, memory = budget.latency.p95_s, budget.latency.clip, budget.memory
    found = []
    if summary.p95_s is None:
        found.append(f"no {clip} clip was answered in the soak")
    elif summary.p95_s > limit_s:
        found.append(f"p95 of a {clip} clip is {summary.p95_s:.2f} s; the limit is {limit_s:g} s")
    if summary.steps and not any(step.within(limit_s) for step in summary.steps):
        found.append(f"no number of users had its {clip} clips within {limit_s:g} s")
    if len(summary.failures) > budget.failures:
        worst = ", ".join(sorted(set(summary.failures))[:5])
        found.append(f"{len(summary.failures)} answers failed ({worst}); the limit is {budget.failures}")
    if summary.peak_mib is None:
        found.append("the memory was not measured")
    elif summary.peak_mib > memory.hard_gb * MIB_PER_GB:
        found.append(
            f"the memory reached {summary.peak_mib / MIB_PER_GB:.2f} GB; the limit is {memory.hard_gb:g} GB"
        )
    if summary.growth_mib is not None and summary.growth_mib > memory.growth_mb * MIB_PER_GB / 1000:
        found.append(f"the memory grew by {summary.growth_mib:.0f} MiB in the soak")
    return found


def missed_goals(summary: Summary, budget: Budget) -> list[str]:
    """Told in the summary, without consequence."""
    goal_gb = budget.memory.goal_gb
    if summary.peak_mib is not None and summary.peak_mib > goal_gb * MIB_PER_GB:
        return [f"the memory reached {summary.peak_mib / MIB_PER_GB:.2f} GB; the goal is {goal_gb:g} GB"]
    return []
