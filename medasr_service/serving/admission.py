"""Which windows go to the model next: it runs one batch at a time, and answers when all of that is done."""

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from medasr_service.model.geometry import Emission, Waveform
from medasr_service.transcriber import Infer

PATIENCE = 0.2  # seconds that a window may wait longer for each second that it is longer


@dataclass(order=True)
class _Waiting:
    due: float
    number: int  # of two that are due together the first
    samples: int = field(compare=False)
    admitted: asyncio.Future[None] = field(compare=False)


class Admission:
    """At most ``limit`` samples are with the model at a time, or one call; the others wait here, short ones
    before long ones: a clip does not wait for all windows of a long recording that came before it.
    """

    def __init__(
        self, infer: Infer, limit: int, sample_rate: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._infer = infer
        self._limit = limit
        self._sample_rate = sample_rate
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._with_model = 0  # samples
        self._calls = 0

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        async with self._admitted(sum(map(len, waveforms))):
            return await self._infer(waveforms)

    @asynccontextmanager
    async def _admitted(self, samples: int) -> AsyncIterator[None]:
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due = self._clock() + PATIENCE * samples / self._sample_rate
        heapq.heappush(self._waiting, _Waiting(due, self._calls, samples, admitted))
        self._calls += 1
        self._admit()
        try:
            await admitted
            yield
        finally:
            if admitted.done() and not admitted.cancelled():
                self._with_model -= samples
            self._admit()

    def _admit(self) -> None:
        """Strictly in order, so that none waits for ever."""
        while self._waiting:
            first = self._waiting[0]
            if not first.admitted.cancelled():
                if self._with_model and self._with_model + first.samples > self._limit:
                    return
                self._with_model += first.samples
                first.admitted.set_result(None)
            heapq.heappop(self._waiting)
