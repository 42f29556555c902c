"""The tables of docs/scale.md, from simulations: the same figures each time."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from benchmarks.scale.archive import Archive, Cluster, simulate
from benchmarks.scale.costs import FP32, INT8, Costs
from benchmarks.scale.online import step, within

MEASURED_P95_S = {1: 1.32, 2: 1.82, 3: 1.72, 4: 1.95, 6: 4.14, 8: 4.56}  # docs/load.md
LIMIT_S = 2.0  # config/budget.yaml
SHAPES = ((1, 2), (2, 2), (4, 2), (8, 2))  # workers and threads of a replica


def renewed(text: str) -> str:
    """The page with each table made anew that stands below a comment with its name."""
    for name, make in TABLES.items():
        place = re.compile(rf"(?<=<!-- {name} -->\n)(\|.*\n)*")
        if len(place.findall(text)) != 1:
            raise ValueError(f"the page has no place for the table {name}, or several")
        text = place.sub(make().replace("\\", r"\\"), text)
    return text


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def measured() -> str:
    rows = []
    for users, measured_s in MEASURED_P95_S.items():
        found = step(FP32, users)
        rows.append((users, f"{measured_s:.2f} s", f"{found.p95_s:.2f} s", f"{found.busy:.0%}"))
    return table(("users", "p95 measured", "p95 simulated", "the model is busy"), rows)


def replicas() -> str:
    rows = [
        (f"{workers} x {threads} threads", *_most(FP32, workers, threads), *_most(INT8, workers, threads))
        for workers, threads in SHAPES
    ]
    head = ("workers", "fp32: users", "p50, p95 there", "int8: users", "p50, p95 there")
    return table(head, rows)


def _most(costs: Costs, workers: int, threads: int) -> tuple[str, str]:
    best, steps = within(costs, limit_s=LIMIT_S, workers=workers, threads=threads)
    there = [each for each in steps if each.users == best]
    return str(best), f"{there[0].p50_s:.2f}, {there[0].p95_s:.2f} s" if there else "-"


def archive() -> str:
    million = Archive()
    opus = replace(million, bytes_per_s=4_000)
    hundred = Cluster()
    variants = {
        "100 nodes, fp32": simulate(million, hundred),
        "100 nodes, int8": simulate(million, hundred, costs=INT8),
        "100 nodes that live 5 h": simulate(million, replace(hundred, mtbf_h=5.0)),
        "100 nodes, 1,024 recordings a shard, in Opus": simulate(opus, hundred, shard=1024),
        "10 nodes": simulate(million, replace(hundred, nodes=10)),
        "1,000 nodes": simulate(million, replace(hundred, nodes=1000)),
    }
    rows = [
        (
            name,
            f"{found.hours:.2f} h",
            f"{found.price_per_1000_h:.2f}",
            found.deaths,
            f"{found.shares['hearing']:.1%}",
            f"{found.bottleneck}, {found.shares[found.bottleneck]:.1%}",
            f"{found.questions_per_s:,.0f}",
        )
        for name, found in variants.items()
    ]
    head = (
        "cluster",
        "time",
        "1,000 h cost",
        "nodes lost",
        "hearing",
        "most of the rest",
        "questions a second",
    )
    return table(head, rows)


TABLES: dict[str, Callable[[], str]] = {"measured": measured, "replicas": replicas, "archive": archive}
