"""A worker, a process of the model, as the entry sees it: asked, watched, replaced where it hangs."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from aiohttp import ClientError
from bentoml.exceptions import BentoMLException

from medasr_service.errors import NotReady
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.serving.shutdown import ended, is_there

PING_S = 1.0  # between two questions whether it is there, and for each answer
SLOWEST = 2.0  # seconds for a second of sound, beyond which no machine serves anybody
# BentoML's dispatcher runs its first eleven calls one by one, to learn how long a batch takes. Of no sound,
# they cost nothing; what a batch takes it goes on learning.
TRAINING_CALLS = 11
BROKEN = (ClientError, OSError)  # a connection that cannot be made, or that breaks

log = logging.getLogger("bentoml.medasr")


class ModelProcess:
    """``attempt`` for the admission; ``keep``, a task for as long as the entry runs.

    ``came`` is told the engine's name whenever the worker has run, ``went`` when it is gone or hangs.
    ``name`` is of the worker, for the log.
    """

    def __init__(
        self,
        calls: Callable[[], Any],
        *,
        name: str = "the model's process",
        sample_rate: int,
        warm_up_samples: int,
        timeout_s: float,
        came: Callable[[str], None],
        went: Callable[[], None],
    ) -> None:
        self._calls = calls  # BentoML's client, which it makes in the running process
        self._name = name
        self._sample_rate = sample_rate
        self._silence = np.zeros(warm_up_samples, np.float32)
        self._timeout_s = timeout_s
        self._came = came
        self._went = went
        self._pid: int | None = None
        self._samples = 0  # with the model
        self._lost = asyncio.Event()
        self.is_there = False

    async def attempt(self, waveforms: list[Waveform]) -> list[Emission] | None:
        """None where the worker was lost meanwhile. Raises NotReady."""
        pid = self._pid
        try:
            return await self._call(waveforms)
        except TimeoutError:
            self._lose(pid, "has not answered in time")
        except BROKEN as error:
            # as where it closes an idle connection just when a call takes it
            if pid is not None and is_there(pid) and await self._answers():
                return None
            self._lose(pid, f"cannot be reached ({type(error).__name__})")
        except BentoMLException as error:
            log.error("the model service failed: %s", type(error).__name__)
            raise NotReady("The model cannot be reached.", reason="model_lost") from None
        return None

    async def _call(self, waveforms: list[Waveform]) -> list[Emission]:
        """Raises TimeoutError after ``timeout_s`` and what the sound that is with the model may take."""
        samples = sum(map(len, waveforms))
        self._samples += samples
        limit_s = self._timeout_s + SLOWEST * (self._samples + samples) / self._sample_rate
        try:
            async with asyncio.timeout(limit_s):
                emissions: list[Emission] = await self._calls().infer(waveforms)
                return emissions
        finally:
            self._samples -= samples

    async def keep(self) -> None:
        """Whatever happens to the worker, sees that there is one."""
        while True:
            name = await self._start()
            log.info("%s runs: %s", self._name, name)
            self._lost.clear()
            self.is_there = True
            self._came(name)
            await self._watch()
            self.is_there = False
            self._went()

    async def _start(self) -> str:
        """Its name, after it has run through the very path that requests take."""
        while True:
            try:
                if await self._answers():
                    name, pid = await self._calls().engine(caller_pid=os.getpid())
                    self._pid = int(pid)
                    await self._call([self._silence])
                    for _ in range(TRAINING_CALLS):
                        await self._call([self._silence[:0]])
                    return str(name)
            except TimeoutError:
                self._kill(self._pid)
            except (*BROKEN, BentoMLException):  # it does not listen yet, or is gone again
                pass
            await asyncio.sleep(0.1)

    async def _watch(self) -> None:
        """Until it is gone: it has ended, hangs, or was found to be lost by a call."""
        pid = self._pid
        assert pid is not None  # it has run
        watching = [asyncio.create_task(each) for each in (self._note_end(pid), self._ask(pid))]
        try:
            await self._lost.wait()
            await ended(pid)
        finally:
            for each in watching:
                each.cancel()

    async def _note_end(self, pid: int) -> None:
        await ended(pid)
        if not self._lost.is_set():
            log.error("%s has ended", self._name)
            self.is_there = False
            self._lost.set()

    async def _ask(self, pid: int) -> None:
        """Until it has not answered for ``timeout_s``.

        That is counted in questions: where this process was held up itself, the model is not to blame.
        """
        missed = 0
        while missed * PING_S < self._timeout_s:
            missed = 0 if await self._answers() else missed + 1
            await asyncio.sleep(0 if missed else PING_S)
        self._lose(pid, f"has not answered for {missed * PING_S:.0f} s")

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PING_S):
                return bool(await self._calls().is_ready())
        except (TimeoutError, *BROKEN):
            return False

    def _lose(self, pid: int | None, reason: str) -> None:
        """The process with this pid, unless there is another one already; it is killed, and started again."""
        if pid is None or pid != self._pid or self._lost.is_set():
            return
        log.error("%s %s: it is replaced", self._name, reason)
        self.is_there = False
        self._lost.set()
        self._kill(pid)

    def _kill(self, pid: int | None) -> None:
        """At once: one that hangs hears nothing else. The supervisor starts the next."""
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
