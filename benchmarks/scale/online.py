"""Users of the service, in virtual time: how many a replica bears.

The queue is the product's own (serving/admission), and batches form as in it: what waits when the model comes
free is the next one. The users are those of the load test (loadtests/locustfile.py), the stopwatch and the
one that hangs up among them.
"""

import asyncio
import contextlib
import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from benchmarks import virtual_time
from benchmarks.scale.costs import RATE, Costs
from loadtests.ramp import p95
from loadtests.recordings import LENGTHS_S, LONG_S
from medasr_service.engines import MAX_GROUP_SAMPLES
from medasr_service.serving.admission import Admission

CHUNK_S, IN_FLIGHT, MAX_BATCH = 20.0, 2, 16  # the settings' defaults
ADVANCE_S, OVERLAP = 17.7, 1.13  # of windows in speech without pauses: docs/performance.md
CLIP_S = 5.0
HANG_UP_S = 0.2
LONG_EVERY, LONG_FIRST = 11, 5  # of Locust's users, weighted 10 to 1
LONG_SHARE = 0.01  # of all recordings, as it comes out with these
DECK = tuple(map(float, LENGTHS_S))


def windows(length_s: float) -> list[float]:
    """What the model hears of a recording."""
    if length_s <= CHUNK_S:
        return [length_s]
    count = -int(-length_s // ADVANCE_S)
    return [length_s * OVERLAP / count] * count


class Worker:
    """A process of ``threads`` takes what waits for it, a batch at a time."""

    is_there = True

    def __init__(self, costs: Costs, threads: int) -> None:
        self._costs, self._threads = costs, threads
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._some = asyncio.Condition()
        self.busy_s = 0.0
        self._task = asyncio.create_task(self._work())

    async def attempt(self, waveforms: list[Any]) -> list[Any]:
        """``waveforms`` have a length, in samples, and nothing else."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._some:
            self._waiting.append((len(waveforms[0]) / RATE, done))
            self._some.notify()
        await done
        return waveforms

    async def _work(self) -> None:
        while True:
            async with self._some:
                await self._some.wait_for(lambda: self._waiting)
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            took_s = self._costs.forward_s([length for length, _ in batch], self._threads)
            self.busy_s += took_s
            await asyncio.sleep(took_s)
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def stop(self) -> None:
        self._task.cancel()


@dataclass(frozen=True, slots=True)
class Step:
    """Latencies of the stopwatch's clips, in seconds; ``busy`` is the model's share of the time."""

    users: int
    p50_s: float
    p95_s: float
    answers: int
    busy: float


class _Service:
    def __init__(self, costs: Costs, workers: int, threads: int) -> None:
        self._costs = costs
        self._workers = [Worker(costs, threads) for _ in range(workers)]
        clock = asyncio.get_running_loop().time
        self._admission = Admission(self._workers, MAX_GROUP_SAMPLES, sample_rate=RATE, clock=clock)
        self._in_flight = IN_FLIGHT + workers - 1

    @property
    def busy_s(self) -> float:
        return sum(each.busy_s for each in self._workers)

    def stop(self) -> None:
        for each in self._workers:
            each.stop()

    async def request(self, length_s: float) -> None:
        await asyncio.sleep(self._costs.request_s)
        limit = asyncio.Semaphore(self._in_flight)

        async def one(window_s: float) -> None:
            async with limit:
                await asyncio.sleep(self._costs.outside_per_s * window_s)
                await self._admission.infer(cast(Any, [range(round(window_s * RATE))]))

        async with asyncio.TaskGroup() as group:
            for window_s in windows(length_s):
                group.create_task(one(window_s))


def _deck(chance: random.Random) -> Iterator[float]:
    while True:
        yield from chance.sample(DECK, len(DECK))


async def _simulate(
    costs: Costs, users: int, workers: int, threads: int, seconds: float, *, watched: bool, seed: int
) -> Step:
    service = _Service(costs, workers, threads)
    chance = random.Random(seed)
    deck, loop = _deck(chance), asyncio.get_running_loop()
    latencies: list[float] = []

    async def dictate() -> None:
        await asyncio.sleep(chance.uniform(0, 8))
        while True:
            length_s, began = next(deck), loop.time()
            if not watched and chance.random() < LONG_SHARE:
                length_s = LONG_S
            await service.request(length_s)
            if length_s == CLIP_S and not watched:
                latencies.append(loop.time() - began)
            await asyncio.sleep(chance.uniform(2, 8))

    async def send_long() -> None:
        while True:
            await service.request(LONG_S)
            await asyncio.sleep(chance.uniform(30, 60))

    async def hang_up() -> None:
        while True:
            if chance.random() < 0.5:  # the others leave before all of it has come
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HANG_UP_S):
                        await service.request(chance.choice(DECK))
            await asyncio.sleep(chance.uniform(5, 15))

    async def measure() -> None:
        while True:  # Locust's constant_pacing: the next comes when the second, and the answer, is over
            began = loop.time()
            await service.request(CLIP_S)
            latencies.append(loop.time() - began)
            await asyncio.sleep(max(0.0, 1 - (loop.time() - began)))

    kinds = [send_long if watched and i % LONG_EVERY == LONG_FIRST else dictate for i in range(users)]
    kinds += [measure, hang_up] if watched else []
    tasks = [asyncio.create_task(kind()) for kind in kinds]
    await asyncio.sleep(seconds / 3)  # until the queue has the length that belongs to its users
    settled = len(latencies)
    busy_s = service.busy_s
    await asyncio.sleep(seconds * 2 / 3)
    busy = (service.busy_s - busy_s) / (seconds * 2 / 3) / workers
    for task in tasks:
        task.cancel()
    service.stop()
    await asyncio.gather(*tasks, return_exceptions=True)
    counted = sorted(latencies[settled:]) or [float("inf")]
    return Step(users, counted[len(counted) // 2], p95(counted) or 0.0, len(counted), min(1.0, busy))


def step(
    costs: Costs,
    users: int,
    *,
    workers: int = 1,
    threads: int = 2,
    seconds: float = 3600,
    watched: bool = True,
    seed: int = 5,
) -> Step:
    """The service under so many users for so long. ``watched``: with the load test's stopwatch and its user
    that hangs up beside them; without, every user sends a long recording now and then, and the clips of 5 s
    of all of them are counted."""
    return virtual_time.run(_simulate(costs, users, workers, threads, seconds, watched=watched, seed=seed))


def within(
    costs: Costs, *, limit_s: float, workers: int = 1, threads: int = 2, seconds: float = 1800
) -> tuple[int, Sequence[Step]]:
    """The most users whose p95 is within the limit, without the load test's watchers, and the steps there."""
    steps: list[Step] = []
    best = 0
    for users in itertools.chain(range(1, 12), range(12, 48, 2), range(48, 2000, 8)):
        steps.append(step(costs, users, workers=workers, threads=threads, seconds=seconds, watched=False))
        if steps[-1].p95_s <= limit_s:
            best = users
        elif len(steps) > 1 and steps[-2].p95_s > limit_s:
            break
    return best, steps
