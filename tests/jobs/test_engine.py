"""The engine's process, with a service beside it that does what a test says: on SQLite, and on PostgreSQL."""

import asyncio
import base64
import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from dbos._serialization import deserialize_value

from medasr_service.errors import NotReady
from medasr_service.jobs import engine
from medasr_service.jobs.store import new_place
from medasr_service.jobs.worker import Worker
from tests.conftest import PATIENCE_S, free_port, require

PARTS = 6


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


def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.sqlite"


class Postgres:
    """A server of one's own; as root it runs as the user postgres, which it insists on."""

    def __init__(self, folder: Path) -> None:
        self._program = require("postgresql")
        self._folder, self.port = folder, free_port()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-o", "-A trust -U medasr")

    def _run(self, action: str, *words: str) -> None:
        user = {"user": "postgres"} if os.geteuid() == 0 else {}
        command = [self._program, action, "-D", str(self._folder / "data"), "-w", *words]
        done = subprocess.run(  # type: ignore[call-overload]
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **user
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        listening = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run("start", "-o", listening, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        self._run("stop", "-m", "immediate")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # pytest's is closed to other users
        found = Postgres(Path(folder))
        found.start()
        yield found
        with suppress(AssertionError):
            found.stop()


def url_of(server: Postgres) -> str:
    return f"postgresql://medasr@127.0.0.1:{server.port}/medasr_jobs"


async def test_a_job_is_done_step_by_step_and_told_of(tmp_path: Path) -> None:
    doing, place = Doing(), new_place()
    doing.fails = {"prepare": 1, "hear": 1}
    async with running(sqlite(tmp_path), doing) as worker:
        await worker.call("submit", "job_1", "me", place, "about", 10)
        found = await ended(worker, "job_1")
        assert (found["state"], found["place"], found["parts"]) == ("succeeded", place, PARTS)
        assert (found["seconds"], found["duration"]) == (PARTS, PARTS)
        await until(lambda: doing.count("post") == 1)
        heard = [number for name, number in doing.calls if name == "hear"]
        assert heard == [0, 0, 1, 2, 3, 4, 5]
        assert doing.count("prepare") == 2
        assert await worker.call("count") == {"succeeded": 1}


async def test_a_webhook_that_is_never_heard_is_told_for_so_long_and_no_longer(tmp_path: Path) -> None:
    doing = Doing()
    doing.posted = "again"
    async with running(sqlite(tmp_path), doing, retries_s=(0.01, 0.01, 0.01)) as worker:
        await worker.call("submit", "job_1", "me", new_place(), "about", 10)
        await until(lambda: doing.count("post") == 4)
        await worker.call("submit", "job_2", "me", new_place(), "about", 10)
        assert (await ended(worker, "job_2"))["state"] == "succeeded"
        assert (await worker.call("job", "job_1"))["state"] == "succeeded"
        await until(lambda: doing.count("post") == 8)


async def test_jobs_are_named_limited_listed_deleted_and_swept(tmp_path: Path) -> None:
    doing, places = Doing(), [new_place(1000.0 + each) for each in range(4)]
    doing.gate.clear()
    async with running(sqlite(tmp_path), doing) as worker:
        for number, place in enumerate(places[:3]):
            await worker.call("submit", f"job_{number}", "me", place, "about", 3)
        assert await worker.call("submit", "job_3", "me", places[3], "about", 3) is None
        again = await worker.call("submit", "job_0", "me", places[3], "other", 3)
        assert (again["place"], again["about"]) == (places[0], "about")
        page = await worker.call("jobs", ["me"], 1, "job_2")
        assert [each["id"] for each in page] == ["job_1", "job_0"]
        assert await worker.call("jobs", ["nobody"], 1, None) == []
        await until(lambda: doing.count("hear") == 2)
        await worker.call("delete", "job_0")
        assert await worker.call("job", "job_0") is None
        fresh = await worker.call("submit", "job_0", "me", places[3], "other", 3)
        assert fresh["place"] == places[3]
        doing.gate.set()
        for job in ("job_0", "job_1", "job_2"):
            assert (await ended(worker, job))["state"] == "succeeded"
        now = time.time()
        day = 24 * 3600
        assert await worker.call("sweep", now - day, now - 30) == []
        assert set(await worker.call("sweep", now + 1, now + 1)) == {places[1], places[2], places[3]}
        assert await worker.call("count") == {}


async def test_an_engine_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medasr_service.jobs.worker.PING_S", 0.05)
    monkeypatch.setattr("medasr_service.jobs.worker.HANGS_S", 2.0)
    doing = Doing()
    doing.gate.clear()
    async with running(sqlite(tmp_path), doing) as worker:
        await worker.call("submit", "job_1", "me", new_place(), "about", 10)
        await until(lambda: doing.count("hear") == 1)
        process = worker._process
        assert process
        process.send_signal(signal.SIGSTOP)
        await until(lambda: worker._process is not process)
        doing.gate.set()
        assert (await ended(worker, "job_1"))["state"] == "succeeded"


async def test_who_has_fewest_jobs_is_next(tmp_path: Path) -> None:
    doing = Doing()
    doing.gate.clear()
    async with running(sqlite(tmp_path), doing) as worker:
        for number in range(6):
            await worker.call("submit", f"many_{number}", "one", new_place(), "about", 20)
        await until(lambda: doing.count("hear") == 2)
        place = new_place()
        await worker.call("submit", "only", "another", place, "about", 20)
        doing.gate.set()
        await ended(worker, "only")
        begun = [place for name, place in doing.calls if name == "prepare"]
        assert begun.index(place) <= 3


@pytest.mark.needs("postgresql")
async def test_a_machine_that_dies_leaves_its_jobs_to_another(postgres: Postgres) -> None:
    one, other = Doing(), Doing()
    one.gate.clear()
    async with running(url_of(postgres), other) as worker:
        async with running(url_of(postgres), one) as dying:
            for number in range(4):  # two of them are with the one that dies
                await worker.call("submit", f"job_{number}", "me", new_place(), "about", 10)
            await until(lambda: one.count("hear") >= 1)
            process = dying._process
            assert process
            process.kill()
            one.gate.set()
        for number in range(4):
            assert (await ended(worker, f"job_{number}"))["state"] == "succeeded"


@pytest.mark.needs("postgresql")
async def test_a_database_that_dies_in_the_middle_costs_time_alone(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    doing = Doing()
    doing.gate.clear()
    async with running(url_of(postgres), doing) as worker:
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
