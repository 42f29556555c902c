"""What the entry does where the model's process dies or hangs; the process is a real one that only sleeps."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientConnectionError

from medasr_service.errors import NotReady
from medasr_service.serving import admission as admissions
from medasr_service.serving import model_process
from medasr_service.serving.admission import Admission
from medasr_service.serving.model_process import TRAINING_CALLS, ModelProcess

RATE = 16_000
WINDOW = [np.ones(RATE, np.float32)]


class Model:
    """The model service: calls that are under way break where its process is killed, as sockets do."""

    def __init__(self, stack: Any) -> None:
        self._stack = stack
        self.poison: float | None = None  # a window that begins with it takes the process down
        self.hangs = False
        self.heard: list[float] = []
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self._stack.append(self.process)
        self.starts += 1
        self.hangs = False

    async def is_ready(self) -> bool:
        if self.process.poll() is not None:  # as the supervisor does
            self.start()
        await self._answer()
        return True

    async def engine(self, caller_pid: int) -> list[str]:
        return [f"engine {self.starts}", str(self.process.pid)]

    async def infer(self, waveforms: list[Any]) -> list[Any]:
        [waveform] = waveforms
        self.heard += [float(waveform[0])] if len(waveform) and waveform[0] else []
        if len(waveform) and waveform[0] == self.poison:
            self.process.kill()
            self.process.wait()
        await self._answer()
        return [waveform * 2]

    async def _answer(self) -> None:
        mine = self.process
        await asyncio.sleep(0.01)
        while self.hangs and mine.poll() is None:
            await asyncio.sleep(0.01)
        if mine.poll() is not None:
            raise ClientConnectionError


@contextmanager
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for each in started:
        each.kill()
        each.communicate()


@asynccontextmanager
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Model, Admission, list[str]]]:
    """A model that runs, who gives it windows, and what was told of it."""
    monkeypatch.setattr(model_process, "PING_S", 0.1)
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        admission.look()

    with processes() as started:
        model = Model(started)
        process = ModelProcess(
            lambda: model,
            sample_rate=RATE,
            warm_up_samples=400,
            timeout_s=0.3,
            came=tell,
            went=lambda: tell("gone"),
        )
        admission = Admission([process], 30 * RATE, RATE)
        keeping = asyncio.create_task(process.keep())
        await until(lambda: told == ["engine 1"])
        try:
            yield model, admission, told
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


async def until(fact: Any) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.01)


async def test_a_model_runs_before_it_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with kept(monkeypatch) as (model, admission, _):
        assert np.array_equal((await admission.infer(WINDOW))[0], WINDOW[0] * 2)
        assert model.heard == [1.0]
    assert TRAINING_CALLS == 11  # of BentoML's dispatcher


async def test_a_window_that_was_with_a_model_that_died_is_given_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with kept(monkeypatch) as (model, admission, told):
        model.hangs = True
        waiting = asyncio.create_task(admission.infer(WINDOW))
        await until(lambda: model.heard)
        model.process.kill()
        assert np.array_equal((await waiting)[0], WINDOW[0] * 2)
        assert told == ["engine 1", "gone", "engine 2"]
        assert model.heard == [1.0, 1.0]


async def test_a_model_that_hangs_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with kept(monkeypatch) as (model, admission, told):
        first = model.process
        model.hangs = True
        assert np.array_equal((await admission.infer(WINDOW))[0], WINDOW[0] * 2)
        assert first.wait() == -signal.SIGKILL
        assert told == ["engine 1", "gone", "engine 2"]


async def test_a_window_that_takes_the_model_down_twice_is_given_up_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with kept(monkeypatch) as (model, admission, told):
        model.poison = 2.0
        bad = admission.infer([WINDOW[0] * 2])
        results = await asyncio.gather(
            admission.infer(WINDOW), bad, admission.infer(WINDOW), return_exceptions=True
        )
        assert isinstance(results[1], NotReady)
        assert [np.array_equal(each[0], WINDOW[0] * 2) for each in (results[0], results[2])] == [True, True]  # type: ignore[index]
        assert model.heard.count(2.0) == 2
        assert model.starts == 3
        await until(lambda: told[-1] == "engine 3")


async def test_a_connection_that_breaks_costs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    async with kept(monkeypatch) as (model, admission, told):
        real, broken = model.infer, [ClientConnectionError()]

        async def infer(waveforms: list[Any]) -> list[Any]:
            if broken:
                raise broken.pop()
            return await real(waveforms)

        monkeypatch.setattr(model, "infer", infer)
        assert np.array_equal((await admission.infer(WINDOW))[0], WINDOW[0] * 2)
        assert told == ["engine 1"]


async def test_where_no_model_comes_back_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissions, "AWAY_S", 0.05)
    async with kept(monkeypatch) as (model, admission, told):
        monkeypatch.setattr(model, "start", lambda: None)
        model.process.kill()
        await until(lambda: told[-1] == "gone")
        with pytest.raises(NotReady):
            await admission.infer(WINDOW)
