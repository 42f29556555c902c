"""Everything at once: all kinds of requests, a model that is killed or stopped, at the end a signal to leave.

    python -m loadtests --chaos --soak 3600

Writes chaos.md into the report: what was answered, how memory, descriptors and threads went; chaos.csv with
their course, and wrong.jsonl with the texts that are wrong. A text that is not the one of a quiet service, an
answer that is neither a text nor an honest refusal, a request that was under way at the end and not finished,
or descriptors, threads or (within an hour) memory that grow, ends it with status 1.
"""

import asyncio
import difflib
import json
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import psutil

from loadtests import asking, server
from loadtests.asking import Outcome
from loadtests.memory import made_by_tree
from loadtests.recordings import Recording, of_all_kinds

USERS = 8
REFUSED = {429, 503}  # with Retry-After
LAST_S = 20.0  # between the last kill and the signal to leave
LIVE_LIKENESS = 0.8  # of words: what is heard while it is spoken depends a little on when which word came
MEMORY_PERCENT = 1.0  # more in the last third than in the middle one
MEMORY_S = 1_500.0  # of a run that can tell: in a shorter one two thirds differ by what was sent
SLACK, SPARE = 0.05, 8  # by which descriptors and threads may differ: some decoders more or less
COMES_BACK_S = 120.0


@dataclass(frozen=True)
class Sample:
    at_s: float
    mib: float
    descriptors: int
    threads: int


@dataclass
class Course:
    """What came of it."""

    outcomes: list[Outcome] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    away_s: list[float] = field(default_factory=list)  # after each kill, until it was ready again
    cut: list[Outcome] = field(default_factory=list)  # under way when the service was told to leave
    exit_status: int | None = None


def problems(course: Course, texts: dict[str, str]) -> list[str]:
    """Why this is no pass; none: it is."""
    found = [f"wrong text: {each.kind}, {each.key}" for each in wrong(course, texts)]
    for each in course.outcomes:
        refused = each.status in REFUSED and each.retry_after
        whole = each.status == 200 and not each.code
        expected = whole or refused or each.kind == "hung up"
        if not expected and not (each.kind == "bad" and 400 <= each.status < 500):
            found.append(f"{each.kind}: {each.status} {each.code}, {each.key}")
    found += [f"cut at the end: {each.kind} {each.status} {each.code}" for each in course.cut]
    if course.exit_status:
        found.append(f"the service ended with status {course.exit_status}")
    found += ["a model did not come back" for each in course.away_s if each >= COMES_BACK_S]
    return found + grown(course.samples)


def wrong(course: Course, texts: dict[str, str]) -> list[Outcome]:
    return [each for each in course.outcomes if _is_wrong(each, texts)]


def _is_wrong(outcome: Outcome, texts: dict[str, str]) -> bool:
    if outcome.text is None or outcome.kind not in ("plain", "streamed", "native", "live"):
        return False
    if outcome.kind == "live":
        return likeness(outcome.text, expected(outcome, texts)) < LIVE_LIKENESS
    return outcome.text != expected(outcome, texts)


def expected(outcome: Outcome, texts: dict[str, str]) -> str:
    """What a quiet service answers."""
    return texts[_live(outcome.key) if outcome.kind == "live" else outcome.key]


def _live(key: str) -> str:
    return f"live: {key}"


def _live_share(course: Course, texts: dict[str, str]) -> str:
    heard = [
        (each.text, expected(each, texts))
        for each in course.outcomes
        if each.kind == "live" and each.text is not None
    ]
    alike = sum(text == other for text, other in heard)
    words = sum(len(other.split()) for _, other in heard)
    changed = sum(len(other.split()) * (1 - likeness(text, other)) for text, other in heard)
    share = 100 * changed / max(1, words)
    return f"{alike} of {len(heard)} as when it is quiet; {share:.2f} % of {words} words differ"


def likeness(text: str, other: str) -> float:
    """Of words, 1 where they are the same."""
    return difflib.SequenceMatcher(None, text.split(), other.split(), autojunk=False).ratio()


def grown(samples: list[Sample]) -> list[str]:
    """What did not stay as it was."""
    found = []
    if samples and samples[-1].at_s >= MEMORY_S and (slope := slope_percent(samples)) > MEMORY_PERCENT:
        found.append(f"memory grew by {slope:.1f} %")
    for what in ("descriptors", "threads"):
        middle, last = typical(samples, what)
        if last > middle * (1 + SLACK) + SPARE:
            found.append(f"{what} grew from {middle} to {last}")
    return found


def slope_percent(samples: list[Sample]) -> float:
    """How much more memory in the last third than in the middle one: the first still fills what is kept."""
    third = len(samples) // 3
    if not third:
        return 0.0
    middle = statistics.median(each.mib for each in samples[third : 2 * third])
    return 100 * (statistics.median(each.mib for each in samples[2 * third :]) / middle - 1)


def typical(samples: list[Sample], what: str) -> tuple[int, int]:
    """In the middle third and in the last: one moment says only how much was under way just then."""
    third = len(samples) // 3
    parts = (samples[third : 2 * third], samples[2 * third :])
    middle, last = (statistics.median_low([getattr(each, what) for each in part] or [0]) for part in parts)
    return middle, last


async def run(folder: Path, seconds: float, kill_every_s: float) -> int:
    course, recordings, log = Course(), of_all_kinds(), folder / "service.log"
    with server.running(log, variables={"MEDASR_HOST": "127.0.0.1"}) as started:
        async with asking.client(started.url) as client:
            texts = {each.key: (await asking.plain(client, each)).text or "" for each in recordings}
            spoken = [await asking.live(client, each) for each in recordings]
            texts |= {_live(each.key): each.text or "" for each in spoken}
            begun = time.monotonic()
            under_way: set[asyncio.Task[Outcome]] = set()
            stopping = asyncio.Event()
            users = [
                asyncio.create_task(_user(client, recordings, course, under_way, stopping))
                for _ in range(USERS)
            ]
            watching = asyncio.create_task(_watch(started.pid, course, begun))
            killing = asyncio.create_task(_kill(started, log, kill_every_s, course, seconds))
            await asyncio.sleep(seconds)
            await killing
            watching.cancel()
            stopping.set()
            admitted = {each for each in under_way if not each.done()}
            await asyncio.sleep(0.5)  # what was just sent is admitted
            os.kill(started.pid, signal.SIGTERM)
            course.cut = [each for each in await asyncio.gather(*admitted) if not _is_finished(each)]
            await asyncio.gather(*users)
        course.exit_status = await asyncio.to_thread(psutil.Process(started.pid).wait, 120)
    _write_course(folder, course, texts)
    return _report(folder / "chaos.md", course, texts, seconds)


def _is_finished(outcome: Outcome) -> bool:
    return outcome.status not in (0, 503) or outcome.kind in ("hung up", "live")


async def _user(
    client: httpx.AsyncClient,
    recordings: list[Recording],
    course: Course,
    under_way: set[asyncio.Task[Outcome]],
    stopping: asyncio.Event,
) -> None:
    kinds, weights = list(asking.ASKED), list(asking.ASKED.values())
    while not stopping.is_set():
        [ask] = random.choices(kinds, weights)
        task = asyncio.create_task(asking.asked(ask, client, random.choice(recordings)))
        under_way.add(task)
        outcome = await task
        under_way.discard(task)
        course.outcomes.append(outcome)
        if outcome.status in REFUSED:
            await asyncio.sleep(1)


async def _watch(pid: int, course: Course, begun: float) -> None:
    while True:
        mib = await asyncio.to_thread(made_by_tree, pid)
        descriptors = threads = 0
        for each in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            try:
                descriptors, threads = descriptors + each.num_fds(), threads + each.num_threads()
            except psutil.NoSuchProcess:
                continue
        course.samples.append(Sample(time.monotonic() - begun, mib, descriptors, threads))
        await asyncio.sleep(2)


async def _kill(started: server.Server, log: Path, every_s: float, course: Course, seconds: float) -> None:
    """By turns killed and stopped."""
    end, number = time.monotonic() + seconds - LAST_S, signal.SIGKILL
    while time.monotonic() + every_s < end:
        await asyncio.sleep(every_s)
        model, before = random.choice(_models(started.pid)), _started(log)
        model.send_signal(number)
        number = signal.SIGSTOP if number is signal.SIGKILL else signal.SIGKILL
        since = time.monotonic()
        while _started(log) == before and time.monotonic() - since < COMES_BACK_S:
            await asyncio.sleep(0.1)
        course.away_s.append(time.monotonic() - since)


def _models(supervisor: int) -> list[psutil.Process]:
    """All that run the network."""
    children = psutil.Process(supervisor).children()
    return [each for each in children if any(word.startswith("medasr-model") for word in each.cmdline())]


def _started(log: Path) -> int:
    """How many there were: /readyz may say the same before and behind one that was away for a moment."""
    return log.read_bytes().count(b" runs: ")


def _write_course(folder: Path, course: Course, texts: dict[str, str]) -> None:
    rows = [f"{each.at_s:.1f},{each.mib:.1f},{each.descriptors},{each.threads}" for each in course.samples]
    (folder / "chaos.csv").write_text("\n".join(["at_s,mib,descriptors,threads", *rows]) + "\n")
    lines = [json.dumps({**asdict(each), "expected": expected(each, texts)}) for each in wrong(course, texts)]
    (folder / "wrong.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _typical_lines(samples: list[Sample]) -> Iterator[str]:
    for what in ("descriptors", "threads"):
        middle, last = typical(samples, what)
        yield f"- {what} at work: {middle} in the middle third, {last} in the last"


def _report(file: Path, course: Course, texts: dict[str, str], seconds: float) -> int:
    found = problems(course, texts)
    counted = Counter((each.kind, each.status, each.code) for each in course.outcomes)
    lines = [
        f"# {seconds:.0f} s of everything at once",
        "",
        "| kind | status | code | how many |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {kind} | {status} | {code} | {count} |" for (kind, status, code), count in sorted(counted.items())
    ]
    away = ", ".join(f"{each:.1f}" for each in course.away_s)
    most_mib = max((each.mib for each in course.samples), default=0.0)
    lines += [
        "",
        f"- the model was killed or stopped {len(course.away_s)} times; ready again after {away} s",
        f"- memory: {slope_percent(course.samples):+.1f} %, last third of the time against the middle one;"
        f" {most_mib:.0f} MiB at most (without the pages of files)",
        *_typical_lines(course.samples),
        f"- live: {_live_share(course, texts)}",
        f"- {len(found)} problems",
        *(f"  - {each}" for each in found[:50]),
    ]
    file.write_text("\n".join(lines) + "\n")
    print(file.read_text())
    return 1 if found else 0
