"""Who decodes next: recordings take turns, those that have had least go first."""

import asyncio
import heapq
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

LENT_S = 0.5  # a turn that takes longer no longer keeps others from theirs


@dataclass(order=True)
class _Waiting:
    due: float
    number: int  # of two that are due together the first
    wake: Callable[[], object] = field(compare=False)
    is_over: bool = field(default=False, compare=False)  # it was woken, or waits no more


class Turns:
    """At most ``places`` turns at a time. A recording that has cost a second waits a second longer than a new
    one: a clip passes by hours of sound, and nothing waits for ever. May be used from several event loops.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = places
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._lock = threading.Lock()

    @asynccontextmanager
    async def turn(self, spent_s: float) -> AsyncIterator[None]:
        """``spent_s``: what the recording has cost so far."""
        await self.take(spent_s)
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self.give_back()

        lent = asyncio.get_running_loop().call_later(LENT_S, give_back)
        try:
            yield
        finally:
            lent.cancel()
            give_back()

    async def take(self, spent_s: float) -> None:
        """As ``turn``, until ``give_back``."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            woken = asyncio.Event()
            place = _Waiting(
                self._clock() + spent_s, self._count, lambda: loop.call_soon_threadsafe(woken.set)
            )
            self._count += 1
            heapq.heappush(self._waiting, place)
        try:
            await woken.wait()
        except BaseException:
            with self._lock:
                has_turn, place.is_over = place.is_over, True
            if has_turn:
                self.give_back()
            raise

    def give_back(self) -> None:
        """To the first that waits; nobody passes by while one does."""
        with self._lock:
            while self._waiting:
                place = heapq.heappop(self._waiting)
                if not place.is_over:
                    with suppress(RuntimeError):  # its loop is closed
                        place.wake()
                        place.is_over = True
                        return
            self._free += 1
