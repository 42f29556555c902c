"""Windows of several recordings meet in batches: what waits while one runs is the next one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from medasr_service.model.geometry import Emission, Waveform


@dataclass(frozen=True, slots=True)
class _Waiting:
    waveforms: list[Waveform]
    heard: asyncio.Future[list[Emission]]


class Batches:
    """``forward`` is the engine's; it puts windows of one length together. ``infer`` is the transcriber's."""

    def __init__(self, forward: Callable[[list[Waveform]], list[Emission]]) -> None:
        self._forward = forward
        self._thread = ThreadPoolExecutor(1, "engine")  # of its own: others may wait for a store
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        waiting = _Waiting(waveforms, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await waiting.heard

    async def _run(self) -> None:
        while batch := [each for each in self._waiting if not each.heard.done()]:
            self._waiting.clear()
            try:
                await self._hear(batch)
            except Exception:  # one of them may be to blame: each alone
                for each in batch:
                    try:
                        await self._hear([each])
                    except Exception as error:
                        _settle(each.heard, error)

    async def _hear(self, batch: list[_Waiting]) -> None:
        waveforms = [waveform for each in batch for waveform in each.waveforms]
        loop = asyncio.get_running_loop()
        emissions = iter(await loop.run_in_executor(self._thread, self._forward, waveforms))
        for each in batch:
            _settle(each.heard, [next(emissions) for _ in each.waveforms])


def _settle(heard: asyncio.Future[list[Emission]], found: list[Emission] | Exception) -> None:
    if heard.done():  # nobody waits for it any more
        return
    if isinstance(found, Exception):
        heard.set_exception(found)
    else:
        heard.set_result(found)
