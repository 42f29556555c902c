"""The engine's process, with a service beside it that does what a test says: on SQLite, and on PostgreSQL."""

import asyncio
import base64
import pickle
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pytest
import pytest_asyncio
from dbos._serialization import deserialize_value

from medasr_service.errors import NotReady
from medasr_service.jobs import engine
from medasr_service.jobs.store import new_place
from medasr_service.jobs.worker import Worker
from tests.conftest import PATIENCE_S
from tests.stores import Postgres

PARTS = 6
on_one = pytest.mark.asyncio(loop_scope="module")


class Doing:
    """The service: notes what it is called for; ``fails`` says how often a step fails before it does not."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.fails: dict[str, int] = {}
        self.posted = "delivered"
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, name: str, arguments: list[Any]) -> Any:
        self.calls.append((name, arguments[1] if name == "hear" else arguments[0]))
        if self.fails.get(name, 0):
            self.fails[name] -= 1
            raise NotReady("away")
        if name == "hear":
            await self.gate.wait()
            number = arguments[1]
            done = number + 1 >= PARTS
            return {"done": done, "parts": number + 1, "seconds": number + 1.0, "duration": float(PARTS)}
        answers: dict[str, Any] = {
            "prepare": {"done": False},
            "finish": {"failed": None, "webhook": True, "ended": 1.5},
            "give_up": {"failed": "server_error", "webhook": False, "ended": 1.5},
            "post": self.posted,
        }
        return answers.get(name)

    def count(self, name: str) -> int:
        return sum(called == name for called, _ in self.calls)


@asynccontextmanager
async def running(url: str, doing: Doing, retries_s: tuple[float, ...] = ()) -> AsyncIterator[Worker]:
    async def lost() -> None: ...

    worker = Worker((url, 2, list(retries_s)), doing, lost)
    keeping = asyncio.create_task(worker.keep())
    try:
        while True:
            with suppress(NotReady):
                await worker.call("count")
                break
        yield worker
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fact():
            await asyncio.sleep(0.02)


async def ended(worker: Worker, job: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(NotReady):
                found = await worker.call("job", job)
                if found["state"] not in ("queued", "running"):
                    return dict(found)
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """On SQLite, for all tests that follow: a process takes longer to start than they do."""
    url = f"sqlite:///{tmp_path_factory.mktemp('engine')}/jobs.sqlite"
    with pytest.MonkeyPatch.context() as often:
        often.setattr("medasr_service.jobs.worker.PING_S", 0.2)
        async with running(url, Doing(), retries_s=(0.01, 0.01, 0.01)) as worker:
            yield worker


@pytest_asyncio.fixture(loop_scope="module")
async def doing(one: Worker) -> AsyncIterator[Doing]:
    """Anew for each test, which leaves no job to the next."""
    one._answer = found = Doing()
    if one._channel:
        one._channel._answer = found
    yield found
    found.gate.set()
    async with asyncio.timeout(PATIENCE_S):
        while {"queued", "running"} & set(await one.call("count")):
            await asyncio.sleep(0.05)


def named(*numbers: int) -> list[str]:
    """Jobs that no other test has."""
    chance = new_place()
    return [f"job_{chance}_{number}" for number in numbers]


@on_one
async def test_a_job_is_done_step_by_step_and_told_of(one: Worker, doing: Doing) -> None:
    place, [job] = new_place(), named(1)
    doing.fails = {"prepare": 1, "hear": 1}
    before = await one.call("count")
    await one.call("submit", job, "me", place, "about", 10)
    found = await ended(one, job)
    assert (found["state"], found["place"], found["parts"]) == ("succeeded", place, PARTS)
    assert (found["seconds"], found["duration"]) == (PARTS, PARTS)
    await until(lambda: doing.count("post") == 1)
    heard = [number for name, number in doing.calls if name == "hear"]
    assert heard == [0, 0, 1, 2, 3, 4, 5]
    assert doing.count("prepare") == 2
    assert await one.call("count") == {**before, "succeeded": before.get("succeeded", 0) + 1}


@on_one
async def test_a_webhook_that_is_never_heard_is_told_for_so_long_and_no_longer(
    one: Worker, doing: Doing
) -> None:
    doing.posted, [first, second] = "again", named(1, 2)
    await one.call("submit", first, "me", new_place(), "about", 10)
    await until(lambda: doing.count("post") == 4)
    await one.call("submit", second, "me", new_place(), "about", 10)
    assert (await ended(one, second))["state"] == "succeeded"
    assert (await one.call("job", first))["state"] == "succeeded"
    await until(lambda: doing.count("post") == 8)


@on_one
async def test_jobs_are_named_limited_listed_deleted_and_swept(one: Worker, doing: Doing) -> None:
    places, jobs, owner = [new_place(1000.0 + each) for each in range(4)], named(0, 1, 2, 3), new_place()
    doing.gate.clear()
    for job, place in zip(jobs[:3], places, strict=False):
        await one.call("submit", job, owner, place, "about", 3)
    assert await one.call("submit", jobs[3], owner, places[3], "about", 3) is None
    again = await one.call("submit", jobs[0], owner, places[3], "other", 3)
    assert (again["place"], again["about"]) == (places[0], "about")
    page = await one.call("jobs", [owner], 1, jobs[2])
    assert [each["id"] for each in page] == [jobs[1], jobs[0]]
    assert await one.call("jobs", ["nobody"], 1, None) == []
    await until(lambda: doing.count("hear") == 2)
    await one.call("delete", jobs[0])
    assert await one.call("job", jobs[0]) is None
    fresh = await one.call("submit", jobs[0], owner, places[3], "other", 3)
    assert fresh["place"] == places[3]
    doing.gate.set()
    for job in jobs[:3]:
        assert (await ended(one, job))["state"] == "succeeded"
    now, day = time.time(), 24 * 3600
    assert await one.call("sweep", now - day, now - 30) == []
    assert set(await one.call("sweep", now + 1, now + 1)) >= {places[1], places[2], places[3]}
    assert await one.call("count") == {}


@on_one
async def test_who_has_fewest_jobs_is_next(one: Worker, doing: Doing) -> None:
    doing.gate.clear()
    for job in named(*range(6)):
        await one.call("submit", job, "one", new_place(), "about", 20)
    await until(lambda: doing.count("hear") == 2)
    place, [only] = new_place(), named(0)
    await one.call("submit", only, "another", place, "about", 20)
    doing.gate.set()
    await ended(one, only)
    begun = [place for name, place in doing.calls if name == "prepare"]
    assert begun.index(place) <= 3


@on_one
async def test_a_database_that_cannot_be_written_for_a_while_costs_time_alone(
    one: Worker, doing: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    doing.gate.clear()
    [job] = named(1)
    await one.call("submit", job, "me", new_place(), "about", 10)
    await until(lambda: doing.count("hear") == 1)
    file = str(one._start[0]).removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        doing.gate.set()
        with monkeypatch.context() as impatient:
            impatient.setattr("medasr_service.jobs.worker.AWAY_S", 0.5)
            with pytest.raises(NotReady):
                await one.call("job", job)
        database.execute("COMMIT")
    assert (await ended(one, job))["state"] == "succeeded"
    assert {number for name, number in doing.calls if name == "hear"} == set(range(PARTS))


@on_one
async def test_an_engine_that_hangs_is_replaced(
    one: Worker, doing: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medasr_service.jobs.worker.HANGS_S", 2.0)
    doing.gate.clear()
    [job] = named(1)
    await one.call("submit", job, "me", new_place(), "about", 10)
    await until(lambda: doing.count("hear") == 1)
    process = one._process
    assert process
    process.send_signal(signal.SIGSTOP)
    await until(lambda: one._process is not process)
    doing.gate.set()
    assert (await ended(one, job))["state"] == "succeeded"


@pytest.mark.needs("postgresql")
async def test_a_database_that_dies_in_the_middle_costs_time_alone(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    doing = Doing()
    doing.gate.clear()
    async with running(postgres.url("engine"), doing) as worker:
        await worker.call("submit", "job_1", "me", new_place(), "about", 10)
        await until(lambda: doing.count("hear") == 1)
        await asyncio.to_thread(postgres.stop)
        doing.gate.set()
        with monkeypatch.context() as impatient:
            impatient.setattr("medasr_service.jobs.worker.AWAY_S", 0.5)  # whoever asks gives up soon
            with pytest.raises(NotReady):
                await worker.call("job", "job_1")
        await asyncio.to_thread(postgres.start)
        assert (await ended(worker, "job_1"))["state"] == "succeeded"


def test_a_row_that_says_it_is_pickle_is_not_read() -> None:
    """Whoever may write to the database would run what he likes, in the engine's process."""
    row = base64.b64encode(pickle.dumps("harmless")).decode()
    with pytest.raises(ValueError, match="pickle"):
        deserialize_value(row, "py_pickle", engine.Plain())
    assert deserialize_value('{"a": 1}', "json", engine.Plain()) == {"a": 1}
