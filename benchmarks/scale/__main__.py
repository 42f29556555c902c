"""What more machines and more users would need, simulated; writes the tables of docs/scale.md.

python -m benchmarks.scale                                        # all tables
python -m benchmarks.scale online --workers 4 --threads 2         # one replica of another shape
python -m benchmarks.scale archive --nodes 20 --price 0.03         # a million dictations on another cluster
"""

import argparse
from pathlib import Path

from benchmarks.scale import page
from benchmarks.scale.archive import Cluster, simulate
from benchmarks.scale.costs import FP32, INT8
from benchmarks.scale.online import within

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
COSTS = {each.name: each for each in (FP32, INT8)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=("page", "online", "archive"), default="page")
    parser.add_argument("--nodes", type=int, default=100, help="of the archive's cluster, with 8 CPUs each")
    parser.add_argument("--mtbf-h", type=float, default=100.0, help="hours until a node dies, on average")
    parser.add_argument("--price", type=float, default=0.04, help="of a CPU for an hour")
    parser.add_argument("--precision", choices=COSTS, default="fp32")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=2.0, help="p95 of a clip of 5 s")
    parser.add_argument("--seconds", type=float, default=1800, help="of each step, in virtual time")
    options = parser.parse_args()
    if options.part == "page":
        PAGE.write_text(page.renewed(PAGE.read_text()))
        print(f"written: {PAGE}")
        return
    if options.part == "archive":
        cluster = Cluster(
            nodes=options.nodes, threads=options.threads, mtbf_h=options.mtbf_h, price=options.price
        )
        print(simulate(cluster=cluster, costs=COSTS[options.precision]))
        return
    best, steps = within(
        COSTS[options.precision],
        limit_s=options.limit_s,
        workers=options.workers,
        threads=options.threads,
        seconds=options.seconds,
    )
    for step in steps:
        print(
            f"{step.users:4} users  p50 {step.p50_s:6.2f} s  p95 {step.p95_s:6.2f} s  busy {step.busy:4.0%}"
        )
    print(f"{best} users within {options.limit_s:g} s")


if __name__ == "__main__":
    main()
