"""What a load test found: from the samples of answers and of memory to figures, Markdown and a picture."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from loadtests.ramp import Step, p95

mpl.use("Agg")


@dataclass(frozen=True)
class Answer:
    """One request: when it ended (as time.time()), in which phase, and how long it took."""

    at: float
    phase: str
    users: int
    name: str
    seconds: float
    failure: str


@dataclass(frozen=True)
class Memory:
    at: float
    mib: float


@dataclass(frozen=True)
class Summary:
    """``None``: not measured. ``p95_s`` is of the measured clip in the soak; ``growth_mib`` from the soak's
    first third to its last, in medians."""

    machine: str
    model: str
    steps: list[Step]
    soak_users: int
    soak_s: float
    requests: int
    requests_per_s: float
    latencies: dict[str, tuple[int, float, float]]  # in the soak: count, median and p95 in s
    p95_s: float | None
    failures: list[str]
    idle_mib: float | None
    peak_mib: float | None
    soak_mib: float | None
    growth_mib: float | None


def read_answers(file: Path) -> list[Answer]:
    with file.open() as lines:
        return [
            Answer(
                float(row["time"]),
                row["phase"],
                int(row["users"]),
                row["name"],
                float(row["seconds"]),
                row["failure"],
            )
            for row in csv.DictReader(lines)
        ]


def read_memory(file: Path) -> list[Memory]:
    with file.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["processes"]]  # the last may be half a line
    rows = [row for row in rows if row["processes"] != "processes"]  # a second part has its own header
    return [Memory(float(row["time"]), float(row["mib"])) for row in rows]


def summarise(
    answers: Sequence[Answer],
    memory: Sequence[Memory],
    steps: Sequence[Step],
    *,
    clip: str,
    machine: str,
    model: str,
) -> Summary:
    soak = [answer for answer in answers if answer.phase == "soak"]
    good = [answer for answer in soak if not answer.failure]
    begin, end = (soak[0].at, soak[-1].at) if soak else (0.0, 0.0)
    latencies = {}
    for name in dict.fromkeys(answer.name for answer in good):
        taken = [answer.seconds for answer in good if answer.name == name]
        latencies[name] = (len(taken), median(taken), p95(taken) or 0.0)
    held = [sample.mib for sample in memory if begin <= sample.at <= end]
    third = len(held) // 3
    idle = [sample.mib for sample in memory if not answers or sample.at < answers[0].at]
    return Summary(
        machine=machine,
        model=model,
        steps=list(steps),
        soak_users=soak[-1].users if soak else 0,
        soak_s=end - begin,
        requests=len(answers),
        requests_per_s=len(soak) / (end - begin) if end > begin else 0.0,
        latencies=latencies,
        p95_s=latencies[clip][2] if clip in latencies else None,
        failures=[f"{answer.name}: {answer.failure}" for answer in answers if answer.failure],
        idle_mib=idle[0] if idle else None,
        peak_mib=max((sample.mib for sample in memory), default=None),
        soak_mib=median(held) if held else None,
        growth_mib=median(held[-third:]) - median(held[:third]) if third else None,
    )


def to_json(summary: Summary, broken: Sequence[str]) -> str:
    return json.dumps({**asdict(summary), "broken": list(broken)}, indent=2) + "\n"


def to_markdown(summary: Summary, broken: Sequence[str], goals: Sequence[str]) -> str:
    """For a person, and for the summary of a CI job."""
    lines = ["# Load test", "", f"{summary.model} on {summary.machine}.", ""]
    lines += [f"- **broken: {each}**" for each in broken] or ["- within the budget"]
    lines += [f"- goal missed: {each}" for each in goals]
    if summary.steps:
        lines += ["", "| users | p95 of a 5 s clip | answers |", "|---|---|---|"]
        lines += [
            f"| {s.users} | {'none answered' if s.p95_s is None else f'{s.p95_s:.2f} s'} | {s.answers} |"
            for s in summary.steps
        ]
    lines += [
        "",
        f"Soak: {summary.soak_users} users for {summary.soak_s / 60:.1f} min, "
        f"{summary.requests_per_s:.2f} answers a second, {len(summary.failures)} failures in the whole run.",
        "",
        "| recording | answers | median | p95 |",
        "|---|---|---|---|",
    ]
    ordered = sorted(summary.latencies.items(), key=lambda item: item[1][1])
    lines += [
        f"| {name} | {count} | {middle:.2f} s | {most:.2f} s |" for name, (count, middle, most) in ordered
    ]
    lines += [
        "",
        f"Memory of all processes: {_mib(summary.idle_mib)} idle, {_mib(summary.soak_mib)} in the soak, "
        f"{_mib(summary.peak_mib)} at most; in the soak it grew by {_mib(summary.growth_mib)}.",
    ]
    return "\n".join(lines) + "\n"


def _mib(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0f} MiB"


def plot(
    file: Path,
    answers: Sequence[Answer],
    memory: Sequence[Memory],
    *,
    clip: str,
    limit_s: float,
    hard_mib: float,
) -> None:
    """Memory above, latencies and users below, over minutes."""
    begin = min([answer.at for answer in answers[:1]] + [sample.at for sample in memory[:1]], default=0.0)
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(10, 6), layout="constrained")
    upper.plot([(m.at - begin) / 60 for m in memory], [m.mib for m in memory], lw=1.2)
    upper.set_ylabel("memory, MiB")
    upper.set_ylim(0, max([1.15 * m.mib for m in memory], default=hard_mib))
    upper.set_title(f"Memory of all processes (PSS); the limit is {hard_mib:.0f} MiB", fontsize=10)
    groups: dict[str, list[Answer]] = {f"{clip} clips": [], "other recordings": [], "failures": []}
    for answer in answers:
        if answer.failure:
            groups["failures"].append(answer)
        elif answer.name == clip:
            groups[f"{clip} clips"].append(answer)
        elif answer.name[0].isdigit():
            groups["other recordings"].append(answer)
    for (label, group), colour, size in zip(groups.items(), ("C0", "0.75", "C3"), (8, 5, 20), strict=True):
        if group:
            lower.scatter(
                [(a.at - begin) / 60 for a in group],
                [a.seconds for a in group],
                s=size,
                c=colour,
                label=label,
            )
    lower.axhline(limit_s, color="C1", ls="--", lw=1, label=f"limit of the p95, {limit_s:g} s")
    lower.set_yscale("log")
    lower.set_ylabel("latency, s")
    lower.set_xlabel("minutes")
    users = lower.twinx()
    users.step([(a.at - begin) / 60 for a in answers], [a.users for a in answers], "C2-", lw=1, where="post")
    users.set_ylabel("users", color="C2")
    users.set_ylim(bottom=0)
    users.yaxis.set_major_locator(MaxNLocator(integer=True))
    lower.legend(loc="upper left", fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)
