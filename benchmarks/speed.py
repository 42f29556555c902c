"""The service against the prototype: one run, one machine, the same weights, through HTTP.

    python -m benchmarks.speed                    # about half an hour on two cores
    python -m benchmarks.speed --rounds 1 --only ten_minutes users

The weights are random, of google/medasr's exact size: for speed and memory the text does not matter.
Contenders take turns, so that a machine that slows down slows all of them; figures are medians, and what
counts are the ratios. First the engine alone is measured, against other products that are installed
(benchmarks/rivals.py); after the services ``live``, without HTTP (benchmarks/live.py), and what it costs to
be seen (benchmarks/telemetry.py).
Writes build/benchmark/: results.json, table.md, benchmark.png.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import numpy as np

from benchmarks import random_checkpoint
from benchmarks.speech import dictation, flac
from loadtests import memory, server
from loadtests.server import free_port

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "build" / "random-checkpoint"
REPORT = ROOT / "build" / "benchmark"
RATE = 16_000
PAUSES = 0.25  # of the time
USERS, CLIPS = 16, 64
ALIKE = 0.4  # of the letters of an answer
PROTOTYPE = "prototype"
SERVICES = ("fp32", "int8")
Written: TypeAlias = Mapping[str, Mapping[str, Sequence[int]]]
"""Of each recording, how many letters everyone wrote each time."""


@dataclass
class Contender:
    """A server that runs; ``seconds[work]`` has the time that each round took."""

    name: str
    url: str
    pid: int
    ready_s: float
    seconds: dict[str, list[float]] = field(default_factory=dict)
    mib: dict[str, float] = field(default_factory=dict)
    latency_s: dict[str, list[float]] = field(default_factory=dict)
    letters: dict[str, list[int]] = field(default_factory=dict)

    def send(self, audio: bytes, name: str = "") -> float:
        """Seconds until the answer is there; how much was written is kept under the name of the recording."""
        began = time.perf_counter()
        files = {"file": ("dictation.flac", audio, "audio/flac")}
        answer = httpx.post(f"{self.url}/v1/audio/transcriptions", files=files, timeout=3600)
        answer.raise_for_status()
        seconds = time.perf_counter() - began
        self.letters.setdefault(name, []).append(len(answer.json()["text"]))
        return seconds

    @contextlib.contextmanager
    def measured(self, work: str) -> Iterator[None]:
        """Adds the time, and keeps the peak of the memory, of what is done within."""
        peaks = [0.0]
        done = threading.Event()

        def sample() -> None:
            while not done.wait(0.2):
                peaks.append(memory.of_tree(self.pid)[0])

        sampler = threading.Thread(target=sample)
        sampler.start()
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            done.set()
            sampler.join()
        self.seconds.setdefault(work, []).append(seconds)
        self.mib[work] = max(self.mib.get(work, 0), *peaks)
        print(f"{work:24} {self.name:10} {seconds:7.1f} s, {self.mib[work]:5.0f} MiB", flush=True)


def file_of(minutes: float, pauses: float = 0.0) -> Callable[[Contender], None]:
    audio = flac(dictation(minutes * 60, pauses, np.random.default_rng(1)))
    return lambda contender: contender.latency_s.setdefault(f"{minutes} min", []).append(
        contender.send(audio, f"{minutes} min, {pauses}")
    )


def users(contender: Contender) -> None:
    """USERS at a time send clips of 3 to 8 s until CLIPS are done."""
    rng = np.random.default_rng(2)
    speech = dictation(60, 0, rng)
    audio = [flac(speech[: int(rng.uniform(3, 8) * RATE)]) for _ in range(CLIPS)]
    with concurrent.futures.ThreadPoolExecutor(USERS) as pool:
        sent = pool.map(contender.send, audio, map(str, range(CLIPS)))
        contender.latency_s.setdefault("users", []).extend(sent)


def beside_an_hour(contender: Contender) -> None:
    """A clip of 5 s, alone and again while an hour is being transcribed."""
    rng = np.random.default_rng(3)
    clip, hour = flac(dictation(5, 0, rng)), flac(dictation(3600, 0, rng))
    contender.latency_s["clip alone"] = [contender.send(clip) for _ in range(10)]
    hung_up = threading.Event()

    def transcribe_hour() -> None:
        files = {"file": ("hour.flac", hour, "audio/flac")}
        url = f"{contender.url}/v1/audio/transcriptions"
        with httpx.stream("POST", url, files=files, data={"stream": "true"}, timeout=3600) as answer:
            answer.raise_for_status()
            for _ in answer.iter_lines():
                begun.set()
                if hung_up.is_set():
                    return
            raise RuntimeError("the hour was over before the clips were")

    begun = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        long = pool.submit(transcribe_hour)
        begun.wait(120)
        contender.latency_s["clip beside an hour"] = [contender.send(clip) for _ in range(30)]
        hung_up.set()
        long.result()


WORKS: dict[str, tuple[str, Sequence[str], Callable[[], Callable[[Contender], None]]]] = {
    "ten_minutes": ("10 min, unbroken", (PROTOTYPE, *SERVICES), lambda: file_of(10)),
    "ten_minutes_pauses": ("10 min, a quarter pauses", (PROTOTYPE, *SERVICES), lambda: file_of(10, PAUSES)),
    "users": ("16 users, clips of 3-8 s", (PROTOTYPE, *SERVICES), lambda: users),
    "after_users": ("10 min, unbroken, after the users", SERVICES, lambda: file_of(10)),
    "one_minute": ("1 min", SERVICES, lambda: file_of(1)),
    "one_hour": ("60 min", SERVICES, lambda: file_of(60)),
    "beside_an_hour": ("5 s clip beside 60 min", SERVICES, lambda: beside_an_hour),
}
ONCE = {"one_hour", "beside_an_hour"}
ENGINE, LIVE, SEEN = "engine", "live", "telemetry"
ALL = (ENGINE, *WORKS, LIVE, SEEN)


@contextlib.contextmanager
def running(name: str) -> Iterator[Contender]:
    port = free_port()
    environment = {"MEDASR_MODEL": str(CHECKPOINT)}
    command = None
    if name == PROTOTYPE:
        command = [sys.executable, "-m", "benchmarks.prototype_server", str(CHECKPOINT), str(port)]
    else:
        environment["MEDASR_PRECISION"] = name
    with server.running(REPORT / f"{name}.log", port, environment, command) as started:
        print(f"{name}: ready in {started.ready_s:.1f} s", flush=True)
        yield Contender(name, started.url, started.pid, started.ready_s)


def export(precision: str) -> None:
    """Beforehand: the time to readiness is that with an artefact."""
    environment = {**os.environ, "MEDASR_MODEL": str(CHECKPOINT), "MEDASR_PRECISION": precision}
    command = [sys.executable, "-m", "medasr_service", "export"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL)
    arguments = parser.parse_args()
    REPORT.mkdir(parents=True, exist_ok=True)
    random_checkpoint.make(CHECKPOINT)
    for precision in SERVICES:
        export(precision)
    engine = engine_table(arguments.rounds) if ENGINE in arguments.only else ""
    works = [work for work in arguments.only if work in WORKS]
    contenders = compare(works, arguments.rounds) if works else []
    live = {precision: live_figures(precision) for precision in SERVICES} if LIVE in arguments.only else {}
    seen = seen_table() if SEEN in arguments.only else ""
    write(contenders, engine, live, seen)


def compare(works: Sequence[str], rounds: int) -> list[Contender]:
    """All contenders, each having done the works."""
    with contextlib.ExitStack() as stack:
        contenders = [stack.enter_context(running(name)) for name in (PROTOTYPE, *SERVICES)]
        for contender in contenders:
            contender.send(flac(dictation(20, 0, np.random.default_rng(0))))
            contender.mib["idle"] = memory.of_tree(contender.pid)[0]
        for work in works:
            _, names, make = WORKS[work]
            do = make()
            for _ in range(1 if work in ONCE else rounds):
                for contender in contenders:
                    if contender.name in names:
                        with contender.measured(work):
                            do(contender)
    written: dict[str, dict[str, list[int]]] = {}
    for contender in contenders:
        for recording, letters in contender.letters.items():
            if recording:
                written.setdefault(recording, {})[contender.name] = letters
    refuse_unlike(written)
    return contenders


def unlike(written: Written, at_least: int = 0) -> list[str]:
    """Recordings of which someone wrote far less than is usual: who fails is fast, too.

    By how much is written, for random weights write nothing that could be right, and a rounded network
    something else; but they write all the time, also of silence, which the services do not let them hear.
    """
    odd = []
    for recording, by in written.items():
        usual = statistics.median(count for counts in by.values() for count in counts)
        odd += [
            f"{name}, {recording}: {count} letters, where {usual:.0f} are usual"
            for name, counts in by.items()
            for count in counts
            if count < max(at_least, usual * (1 - ALIKE))
        ]
    return odd


def refuse_unlike(written: Written, at_least: int = 0) -> None:
    if odd := unlike(written, at_least):
        raise SystemExit("answers that are none, so that their times say nothing: " + "; ".join(odd))


def engine_table(rounds: int) -> str:
    """Against other products, those that are installed."""
    command = [sys.executable, "-m", "benchmarks.rivals", "--rounds", str(rounds)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def live_figures(precision: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.live", "--cost", str(CHECKPOINT), "--precision", precision]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    figures: dict[str, Any] = json.loads(output)
    print(f"live, {precision}: {figures['streams_held']} streams held", flush=True)
    return figures


def seen_table() -> str:
    command = [sys.executable, "-m", "benchmarks.telemetry"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def write(contenders: Sequence[Contender], engine: str, live: dict[str, Any], seen: str) -> None:
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {cpu_model()}",
        "contenders": {each.name: vars(each) for each in contenders},
        "live": live,
    }
    (REPORT / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    text = f"{results['machine']}\n\n"
    if contenders:
        text += table(contenders)
        plot(contenders)
    if engine:
        text += f"\n{engine}"
    if live:
        text += f"\n{live_table(live)}"
    if seen:
        text += f"\n{seen}"
    (REPORT / "table.md").write_text(text)
    print(text)


def cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def table(contenders: Sequence[Contender]) -> str:
    """Medians, with the spread, and the ratio to the prototype."""
    names = [each.name for each in contenders]
    lines = [f"| work | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    prototype = contenders[0]
    for work, (title, _, _) in WORKS.items():
        cells = []
        for each in contenders:
            times = each.seconds.get(work)
            if not times:
                cells.append("")
                continue
            median = statistics.median(times)
            cell = f"{median:.1f} s ({min(times):.1f}-{max(times):.1f})"
            if each is not prototype and work in prototype.seconds:
                cell += f", **{statistics.median(prototype.seconds[work]) / median:.2f} x**"
            cells.append(cell)
        if any(cells) and work != "beside_an_hour":
            lines.append(f"| {title} | {' | '.join(cells)} |")
    cells = [_after_against_before(each) for each in contenders]
    if any(cells):
        lines.append(f"| speed after the users, against before | {' | '.join(cells)} |")
    for kind in ("users", "clip alone", "clip beside an hour"):
        values = [each.latency_s.get(kind) for each in contenders]
        if any(values):
            cells = [f"{np.quantile(v, 0.5):.2f} / {np.quantile(v, 0.95):.2f} s" if v else "" for v in values]
            lines.append(f"| latency p50 / p95: {kind} | {' | '.join(cells)} |")
    lines.append(
        "| peak memory (PSS) | " + " | ".join(f"{max(e.mib.values()):.0f} MiB" for e in contenders) + " |"
    )
    lines.append("| memory when idle | " + " | ".join(f"{e.mib['idle']:.0f} MiB" for e in contenders) + " |")
    lines.append("| start to ready | " + " | ".join(f"{e.ready_s:.1f} s" for e in contenders) + " |")
    return "\n".join(lines) + "\n"


def _after_against_before(contender: Contender) -> str:
    """What a burst of users costs every later file; 1 where it costs nothing."""
    before, after = (contender.seconds.get(work) for work in ("ten_minutes", "after_users"))
    return f"{statistics.median(before) / statistics.median(after):.2f} x" if before and after else ""


def live_table(live: dict[str, Any]) -> str:
    """Of each precision and number of streams, how late the text comes."""
    lines = [
        "| streams | delta p50 / p95 | completed p95 | WER against the file | model busy | CPUs |",
        "|---|---|---|---|---|---|",
    ]
    for precision, figures in live.items():
        lines += [
            f"| {precision}, {load['streams']} | {load['delta_p50_s']:.2f} / {load['delta_p95_s']:.2f} s |"
            f" {load['completed_p95_s']:.2f} s | {load['wer_percent']:.2f} % |"
            f" {100 * load['model_busy']:.0f} % | {load['cpus_used']:.2f} |"
            for load in figures["loads"]
        ]
    return "\n".join(lines) + "\n"


def plot(contenders: Sequence[Contender]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    works = [work for work in WORKS if work in contenders[0].seconds]
    figure, (speed, held) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(3, 1), layout="constrained")
    for i, each in enumerate(contenders):
        ratios = [
            statistics.median(contenders[0].seconds[w]) / statistics.median(each.seconds[w]) for w in works
        ]
        bars = speed.bar(np.arange(len(works)) + 0.27 * (i - 1), ratios, 0.25, label=each.name)
        speed.bar_label(bars, fmt="%.2f")
    speed.set_xticks(range(len(works)), [WORKS[work][0] for work in works])
    speed.set_ylabel("speed, prototype = 1")
    speed.legend()
    bars = held.bar([e.name for e in contenders], [max(e.mib.values()) for e in contenders], color="grey")
    held.bar_label(bars, fmt="%.0f")
    held.set_ylabel("peak memory, MiB (PSS)")
    figure.savefig(REPORT / "benchmark.png", dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
