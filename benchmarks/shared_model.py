"""The model that the sessions of a benchmark share: one batch at a time, of whatever waits, at its cost."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from medasr_service import engines
from medasr_service.model.geometry import Emission, Waveform

RATE = 16_000
Forward: TypeAlias = Callable[[Sequence[Waveform]], list[Emission]]


@dataclass(frozen=True)
class Cost:
    """Seconds that a batch takes: so much for each group that the engine makes of it, and for its sound."""

    per_group: float
    per_second: float

    @classmethod
    def measured(cls, forward: Forward) -> "Cost":
        rng = np.random.default_rng(0)
        shapes = ((1, 2), (1, 4), (1, 8), (4, 3), (6, 4))
        noise = rng.normal(0, 0.1, 8 * RATE).astype(np.float32)
        taken = []
        for count, seconds in shapes:
            times = []
            for _ in range(5):
                began = time.perf_counter()
                forward([noise[: seconds * RATE]] * count)
                times.append(time.perf_counter() - began)
            taken.append(float(np.median(times)))
        sound = [[1, count * seconds] for count, seconds in shapes]
        per_group, per_second = np.linalg.lstsq(np.array(sound), np.array(taken), rcond=None)[0]
        return cls(max(0.0, float(per_group)), float(per_second))

    def of(self, waveforms: Sequence[Waveform]) -> float:
        lengths = [len(waveform) for waveform in waveforms]
        groups = list(engines.groups(lengths))
        sound = sum(len(group) * max(lengths[i] for i in group) for group in groups)
        return self.per_group * len(groups) + self.per_second * sound / RATE


class Batches:
    """The model service in small: one batch at a time, of whatever waits."""

    def __init__(self, *forwards: Forward, most: int = 16, cost: Cost | None = None) -> None:
        self._forwards = forwards
        self._most = most
        self._cost = cost
        self.busy_s = 0.0
        self._waiting: list[tuple[Waveform, asyncio.Future[Emission]]] = []
        self._wake = asyncio.Event()
        self._pool = ThreadPoolExecutor(1)

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        futures: list[asyncio.Future[Emission]] = []
        for waveform in waveforms:
            futures.append(asyncio.get_running_loop().create_future())
            self._waiting.append((waveform, futures[-1]))
        self._wake.set()
        return [await future for future in futures]

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not batch:
                self._wake.clear()
                continue
            waveforms = [waveform for waveform, _ in batch]
            if self._cost:
                emissions = self._forward(waveforms)
                seconds = self._cost.of(waveforms)
                self.busy_s += seconds
                await asyncio.sleep(seconds)
            else:
                work = partial(self._forward, waveforms)
                began = time.monotonic()
                emissions = await asyncio.get_running_loop().run_in_executor(self._pool, work)
                self.busy_s += time.monotonic() - began
            for (_, future), emission in zip(batch, emissions, strict=True):
                if not future.done():
                    future.set_result(emission)

    def _forward(self, waveforms: list[Waveform]) -> list[Emission]:
        return [forward(waveforms) for forward in self._forwards][-1]
