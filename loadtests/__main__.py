"""The load test: boots the service, finds the load that it bears, and holds a share of it for ten minutes.

    python -m loadtests                                      # the demo model
    MEDASR_MODEL=build/random-checkpoint python -m loadtests # the real size, with random weights
    python -m loadtests --url http://127.0.0.1:8400 --pid 1234
    python -m loadtests --soak 0 && python -m loadtests --resume  # the same in two parts
    python -m loadtests --chaos --soak 3600                       # everything at once: loadtests/chaos.py

Writes report/ beside this file: Locust's HTML and CSV, summary.md, summary.json, timeline.png, the samples.
Exits with 1 where config/budget.yaml is broken, with 2 where the service or Locust failed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from loadtests import budget as budgets
from loadtests import chaos, server
from loadtests import summary as summaries
from loadtests.budget import MIB_PER_GB
from loadtests.ramp import STEPS, Ramp, Step
from medasr_service import settings

ROOT = Path(__file__).parent.parent
REPORT = Path(__file__).parent / "report"
STEPS_FILE = "steps.json"


@dataclass(frozen=True)
class Target:
    url: str
    memory: list[str]  # the arguments of loadtests.memory


def main() -> int:
    arguments = parse()
    if not arguments.resume:
        shutil.rmtree(arguments.report, ignore_errors=True)
        arguments.report.mkdir(parents=True)
    if arguments.chaos:
        return asyncio.run(chaos.run(arguments.report, arguments.soak, arguments.kill_every))
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(target_of(arguments))
        health = httpx.get(f"{target.url}/health", timeout=10).json()
        stack.enter_context(sampled(target, arguments.report / "memory.csv"))
        time.sleep(3)  # of idle memory
        status = run_locust(target, arguments)
    if status:
        print(f"loadtest: locust ended with {status}", file=sys.stderr)
        return 2
    if not arguments.soak:
        print(f"loadtest: {soak_users(arguments)} users for the soak, which --resume adds")
        return 0
    return report(arguments.report, f"{health['model']}, {health['engine']}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", type=float, default=30, help="seconds of each step of the ramp (30)")
    parser.add_argument("--max-users", type=int, default=STEPS[-1], help=f"last step ({STEPS[-1]})")
    parser.add_argument(
        "--soak", type=float, default=600, help="seconds of the soak (600); 0: the ramp alone"
    )
    parser.add_argument("--resume", action="store_true", help="the soak, for the ramp that is in --report")
    parser.add_argument("--soak-users", type=int, help="so many users in the soak, and no ramp")
    parser.add_argument(
        "--chaos", action="store_true", help="kills, hang-ups, bad files, and a drain at the end"
    )
    parser.add_argument("--kill-every", type=float, default=300, help="seconds between two kills (300)")
    parser.add_argument("--url", help="a service that runs already; wants --pid or --cgroup")
    parser.add_argument("--pid", help="the first process of that service")
    parser.add_argument("--cgroup", help="the folder of the cgroup that holds it")
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    if arguments.url and not (arguments.pid or arguments.cgroup):
        parser.error("--url wants --pid or --cgroup: the memory is part of the budget")
    if arguments.resume and not (arguments.report / STEPS_FILE).exists():
        parser.error(f"--resume: there is no ramp in {arguments.report}")
    return arguments


@contextlib.contextmanager
def target_of(arguments: argparse.Namespace) -> Iterator[Target]:
    """The running service of --url, or one that is started here and stopped at the end."""
    if arguments.url:
        memory = ["--cgroup", arguments.cgroup] if arguments.cgroup else ["--pid", arguments.pid]
        yield Target(arguments.url.rstrip("/"), memory)
        return
    with server.running(arguments.report / "service.log", variables={"MEDASR_HOST": "127.0.0.1"}) as started:
        yield Target(started.url, ["--pid", str(started.pid)])


@contextlib.contextmanager
def sampled(target: Target, file: Path) -> Iterator[None]:
    """Memory, each second, in a process of its own."""
    with file.open("ab") as output:
        command = [sys.executable, "-m", "loadtests.memory", *target.memory]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output)
    try:
        yield
    finally:
        server.stop(process)


def run_locust(target: Target, arguments: argparse.Namespace) -> int:
    """Its exit status; failed requests are no failure of Locust's here, the budget judges them."""
    folder: Path = arguments.report
    plan = {
        "limit_s": budgets.load().latency.p95_s,
        "step_s": arguments.step,
        "soak_s": arguments.soak,
        "max_users": arguments.max_users,
        "soak_users": soak_users(arguments) if arguments.resume else arguments.soak_users,
    }
    keys = settings.load().keys
    environment = {
        **os.environ,
        "LOADTEST_PLAN": json.dumps(plan),
        "LOADTEST_SAMPLES": str(folder / "samples.csv"),
        "LOADTEST_STEPS": str(folder / STEPS_FILE),
        "LOADTEST_API_KEY": keys[0] if keys else "",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "locust", "--locustfile", "loadtests/locustfile.py", "--headless"]
    command += ["--host", target.url, "--exit-code-on-error", "0", "--only-summary", "--stop-timeout", "120"]
    name = "locust-soak" if arguments.resume else "locust"
    command += ["--html", str(folder / f"{name}.html"), "--csv", str(folder / name), "--csv-full-history"]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log).returncode


def steps_of(folder: Path) -> list[Step]:
    return [Step(**step) for step in json.loads((folder / STEPS_FILE).read_text())]


def soak_users(arguments: argparse.Namespace) -> int:
    """What the ramp in the report found: a share of its best step."""
    limit_s = budgets.load().latency.p95_s
    ramp = Ramp(limit_s, arguments.step, arguments.soak, steps=steps_of(arguments.report))
    return ramp.soak_share


def report(folder: Path, model: str) -> int:
    """Writes the summary; 1 where the budget is broken."""
    budget = budgets.load()
    answers = summaries.read_answers(folder / "samples.csv")
    memory = summaries.read_memory(folder / "memory.csv")
    steps = steps_of(folder)
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs"
    clip, limit_s = budget.latency.clip, budget.latency.p95_s
    summary = summaries.summarise(answers, memory, steps, clip=clip, machine=machine, model=model)
    broken = budgets.broken(summary, budget)
    text = summaries.to_markdown(summary, broken, budgets.missed_goals(summary, budget))
    (folder / "summary.md").write_text(text)
    (folder / "summary.json").write_text(summaries.to_json(summary, broken))
    hard_mib = budget.memory.hard_gb * MIB_PER_GB
    summaries.plot(folder / "timeline.png", answers, memory, clip=clip, limit_s=limit_s, hard_mib=hard_mib)
    print(text)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
