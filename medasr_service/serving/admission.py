"""Which windows go to the model next, and to which of its workers: each runs one batch at a time, and answers
when all of that is done.
"""

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from medasr_service.errors import NotReady
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.telemetry import account, metrics
from medasr_service.telemetry.account import stage

PATIENCE = 0.2  # seconds that a window may wait longer for each second that it is longer
ATTEMPTS = 2  # of each call: whoever was with a worker that died is given to another, once
AWAY_S = 60.0  # for a worker to come, where there is none
JOB_PATIENCE_S = 60.0  # that a window of a job may wait longer than one for which somebody waits


class Worker(Protocol):
    @property
    def is_there(self) -> bool: ...

    async def attempt(self, waveforms: list[Waveform]) -> list[Emission] | None:
        """None where the worker was lost meanwhile. Raises NotReady."""
        ...


@dataclass(order=True)
class _Waiting:
    due: float
    number: int  # of two that are due together the first
    samples: int = field(compare=False)
    admitted: asyncio.Future[Worker] = field(compare=False)


class Admission:
    """At most ``limit`` samples are with a worker at a time, or one call; the others wait here, short ones
    before long ones: a clip does not wait for all windows of a long recording that came before it. Of the
    workers that are there, the one that has least gets the next.

    What is patient (a job) waits behind all others until its time has come, and then goes by turns with them:
    a clip waits for one such window at most, however many jobs have waited for long.

    A window that was with a worker when that died is given to another: it costs its client time, and nothing
    else. One that takes workers down twice is given up: others wait for them.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        limit: int,
        sample_rate: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._with = dict.fromkeys(workers, 0)  # samples
        self._limit = limit
        self._sample_rate = sample_rate
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._patient: list[_Waiting] = []
        self._was_patient = False  # the last one that was admitted, before others
        self._calls = 0
        self._again = asyncio.Lock()
        self._giving_up: asyncio.TimerHandle | None = None

    async def infer(self, waveforms: list[Waveform], *, patience_s: float = 0.0) -> list[Emission]:
        """``patience_s``: JOB_PATIENCE_S for what yields to all others, and comes all the same in the end.

        Raises NotReady where no worker comes back, or this call is what takes them down.
        """
        due = self._clock() + PATIENCE * sum(map(len, waveforms)) / self._sample_rate
        queue = self._patient if patience_s else self._waiting
        emissions = await self._attempt(waveforms, due + patience_s, queue)
        for _ in range(ATTEMPTS - 1):
            if emissions is None:
                async with self._again:  # alone of those that were there: it shows whose fault it is
                    emissions = await self._attempt(waveforms, due, self._waiting)
        if emissions is None:
            raise NotReady("The model has failed on this twice. Try again.", reason="model_lost")
        return emissions

    def look(self) -> None:
        """Told whenever a worker has come, or is gone."""
        self._admit()

    async def _attempt(
        self, waveforms: list[Waveform], due: float, queue: list[_Waiting]
    ) -> list[Emission] | None:
        begun = time.perf_counter()
        async with self._admitted(sum(map(len, waveforms)), due, queue) as worker:
            admitted = time.perf_counter()
            metrics.WINDOW_WAIT_SECONDS.observe(admitted - begun)
            account.spent("wait", admitted - begun)
            try:
                with stage("inference", audio_s=sum(map(len, waveforms)) / self._sample_rate):
                    return await worker.attempt(waveforms)
            finally:
                metrics.WINDOW_SECONDS.observe(time.perf_counter() - admitted)

    @asynccontextmanager
    async def _admitted(self, samples: int, due: float, queue: list[_Waiting]) -> AsyncIterator[Worker]:
        admitted: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        heapq.heappush(queue, _Waiting(due, self._calls, samples, admitted))
        self._calls += 1
        metrics.WINDOWS_WAITING.inc()
        self._admit()
        try:
            yield await admitted
        finally:
            if admitted.done() and not admitted.cancelled() and not admitted.exception():
                self._with[admitted.result()] -= samples
                metrics.WINDOWS_RUNNING.dec()
                metrics.WINDOWS_RUNNING_SECONDS.dec(samples / self._sample_rate)
            else:
                metrics.WINDOWS_WAITING.dec()
            self._admit()

    def _admit(self) -> None:
        """Strictly in order, so that none waits for ever."""
        there = [worker for worker in self._with if worker.is_there]
        self._watch(bool(there))
        while there and (queue := self._next()):
            first = queue[0]
            worker = min(there, key=self._with.__getitem__)
            if self._with[worker] and self._with[worker] + first.samples > self._limit:
                return
            self._with[worker] += first.samples
            metrics.WINDOWS_WAITING.dec()
            metrics.WINDOWS_RUNNING.inc()
            metrics.WINDOWS_RUNNING_SECONDS.inc(first.samples / self._sample_rate)
            heapq.heappop(queue)
            self._was_patient = queue is self._patient and bool(self._waiting)
            first.admitted.set_result(worker)

    def _next(self) -> list[_Waiting] | None:
        """The queue whose first one is the next."""
        for queue in (self._waiting, self._patient):
            while queue and queue[0].admitted.done():  # given up
                heapq.heappop(queue)
        if not (self._waiting and self._patient):
            return self._waiting or self._patient or None
        if self._was_patient or self._waiting[0].due <= self._patient[0].due:
            return self._waiting
        return self._patient

    def _watch(self, there: bool) -> None:
        """Nobody waits for ever where no worker comes back."""
        waits = bool(self._waiting or self._patient)
        if self._giving_up and (there or not waits):
            self._giving_up.cancel()
            self._giving_up = None
        elif not self._giving_up and waits and not there:
            self._giving_up = asyncio.get_running_loop().call_later(AWAY_S, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        waiting = [*self._waiting, *self._patient]
        self._waiting.clear()
        self._patient.clear()
        for each in waiting:
            if not each.admitted.done():
                each.admitted.set_exception(
                    NotReady("The model is being started again. Try again.", reason="model_lost")
                )
