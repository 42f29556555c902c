"""The process of the durable engine, DBOS: which job is next, how far each is, what is to be tried again.

python -m medasr_service.jobs.engine FD, where FD is a socket to the service (see channel). It knows places
and numbers alone, and so does its database: what a step does, the service does. Whatever process dies, the
workflow goes on behind the last step that its database has.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from dbos import DBOS, DBOSConfig, Serializer, error
from dbos._serialization import DefaultSerializer
from filelock import FileLock
from sqlalchemy.engine import make_url

from medasr_service.jobs.channel import Channel, Closed

LOCAL = "local"
NAME, WORKFLOW, WEBHOOK = "medasr", "transcribe", "webhook"
VERSION = "1"  # of the workflows below: one that was begun by others is not gone on with
FAILED = "step failed"  # the key under which a class of error is written down
POLL_S = 0.25  # between two looks for a job that waits
ALIVE_S = 5.0  # between two looks for workers that have died
LOCKS = 0x6D656461  # of PostgreSQL's advisory locks: ours
ACTIVE = ["ENQUEUED", "PENDING", "DELAYED"]
STATES = {"ENQUEUED": "queued", "DELAYED": "queued", "PENDING": "running", "CANCELLED": "cancelled"}
# What fails for now is tried again: after 1 s, then half as long again each time; for some eight hours.
AGAIN: dict[str, Any] = {
    "retries_allowed": True,
    "interval_seconds": 1.0,
    "backoff_rate": 1.5,
    "max_attempts": 26,
}


class StepFailed(Exception):
    """A step that was tried in vain; the name of the error's class, and no more."""


class Plain(Serializer):
    """JSON: DBOS' own is pickle, with which whoever may write to the database could run what he likes."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=lambda failure: {FAILED: type(failure).__name__})

    def deserialize(self, serialized_data: str) -> Any:
        found = json.loads(serialized_data)
        return StepFailed(found[FAILED]) if isinstance(found, dict) and set(found) == {FAILED} else found

    def name(self) -> str:
        return "json"


def refuse_pickle(_: DefaultSerializer, serialized_data: str) -> Any:
    """DBOS reads a row as pickle where the row says so; one that we wrote never does."""
    raise ValueError("a row in pickle")


DefaultSerializer.deserialize = refuse_pickle  # type: ignore[assignment]


class Service:
    """The service on the other side, as workflows see it: a call that blocks."""

    channel: Channel
    loop: asyncio.AbstractEventLoop

    def call(self, name: str, *arguments: Any) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(self.channel.call(name, *arguments), self.loop).result()
        except Closed:  # nothing may be written down of what was given up
            os._exit(0)


service = Service()
retries_s: list[float] = []  # between two attempts of a webhook


def _step(name: str) -> Callable[..., Any]:
    """What the service does under this name, as a step."""

    def call(*arguments: Any) -> Any:
        return service.call(name, *arguments)

    call.__qualname__ = call.__name__ = name
    return DBOS.step(name=name, **AGAIN)(call)


prepare, hear, finish, give_up, post = map(_step, ("prepare", "hear", "finish", "give_up", "post"))


@DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
def transcribe(place: str) -> dict[str, Any]:
    """What has become of it: ``failed`` is a code, or null."""
    try:
        outcome = _transcribed(place)
    except error.DBOSWorkflowCancelledError:
        service.call("forget", place)
        raise
    except Exception:
        outcome = give_up(place)
    if outcome["webhook"]:
        DBOS.enqueue_workflow_with_options(
            {"workflow_name": WEBHOOK, "queue_name": WEBHOOK, "app_version": VERSION},
            place,
            DBOS.workflow_id,
            bool(outcome["failed"]),
            outcome["ended"],
        )
    return {"failed": outcome["failed"]}


def _transcribed(place: str) -> dict[str, Any]:
    found = prepare(place)
    number = 0
    while not found["done"]:
        found = hear(place, number)
        number += 1
        DBOS.set_event("progress", [found["parts"], found["seconds"], found["duration"]])
    outcome: dict[str, Any] = finish(place)
    return outcome


@DBOS.workflow(name=WEBHOOK, max_recovery_attempts=None)
def notify(place: str, job: str, failed: bool, ended_s: float) -> str:
    """Tells whoever is to be told, until he has heard it."""
    for wait_s in [*retries_s, None]:
        said = str(post(place, job, failed, ended_s))
        if said != "again" or wait_s is None:
            return said
        DBOS.sleep(wait_s)
    return "failed"


class Engine:
    """What the service may call for. Calls block."""

    def start(self, database_url: str, at_once: int, webhook_retries_s: list[float]) -> None:
        """Raises where the database cannot be had; another worker on it is waited for where it is SQLite."""
        retries_s[:] = webhook_retries_s
        url = make_url(database_url)
        if url.get_backend_name() == "sqlite":
            self._lock = FileLock(f"{url.database}.lock")
            self._lock.acquire()
            executor = LOCAL
        else:
            executor = uuid.uuid4().hex
            DBOS.migrate(database_url)  # makes it, where there is none
            own = _alive(url, executor)
        config: DBOSConfig = {
            "name": NAME,
            "system_database_url": database_url,
            "application_version": VERSION,
            "executor_id": executor,
            "serializer": Plain(),
            "log_level": "ERROR",
            "enable_otlp": False,
            "notification_listener_polling_interval_sec": 0.5,
        }
        logging.getLogger("dbos").addFilter(_is_news)
        DBOS(config=config)
        DBOS.launch()
        each: dict[str, Any] = {"polling_interval_sec": POLL_S, "on_conflict": "always_update"}
        DBOS.register_queue(WORKFLOW, worker_concurrency=at_once, **each)
        DBOS.register_queue(WEBHOOK, worker_concurrency=16, **each)
        if executor != LOCAL:
            threading.Thread(target=_stay_alive, args=(own, executor), daemon=True).start()

    def submit(self, job: str, owner: str, place: str, about: str, most: int) -> dict[str, Any] | None:
        """The job of that name, which may be there already; None where ``most`` are under way.

        Who has fewer jobs under way comes first.
        """
        if found := self._list(workflow_ids=[job]):
            if not _gone(found[0]):
                return _shown(found[0])
            DBOS.delete_workflow(job, delete_children=True)
        active = self._list(status=ACTIVE, load_input=False)
        if len(active) >= most:
            return None
        own = sum(each.authenticated_user == owner for each in active)
        DBOS.enqueue_workflow_with_options(
            {
                "workflow_name": WORKFLOW,
                "queue_name": WORKFLOW,
                "workflow_id": job,
                "app_version": VERSION,
                "priority": own + 1,
                "authenticated_user": owner,
                "attributes": {"place": place, "about": about},
            },
            place,
        )
        return self.job(job)

    def job(self, job: str) -> dict[str, Any] | None:
        found = self._list(workflow_ids=[job])
        return _shown(found[0]) if found and not _gone(found[0]) else None

    def jobs(self, owners: list[str], limit: int, after: str | None) -> list[dict[str, Any]]:
        """The newest first, from behind that job on; one more than ``limit`` where there are more."""
        own = [each for each in self._list(user=owners, load_input=False) if not _gone(each)]
        own.sort(key=lambda each: str(_attributes(each)["place"]), reverse=True)
        start = next((at + 1 for at, each in enumerate(own) if each.workflow_id == after), 0)
        return [_shown(each) for each in own[start : start + limit + 1]]

    def count(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        counted: dict[str, int] = {}
        for each in self._list():
            state = _state(each)
            counted[state] = counted.get(state, 0) + 1
        return counted

    def cancel(self, job: str) -> None:
        DBOS.cancel_workflow(job)

    def delete(self, job: str) -> None:
        """Nobody is shown it any more; ``sweep`` takes the rest, once it has surely ended."""
        DBOS.cancel_workflow(job)
        DBOS.update_workflow_attributes(job, {**_attributes(self._list(workflow_ids=[job])[0]), "gone": True})

    def sweep(self, before_s: float, settled_s: float) -> list[str]:
        """Forgets jobs that ended before then, deleted ones before ``settled_s``; their places."""
        ended = self._list(completed_before=_iso(settled_s), load_input=False)
        over = [each for each in ended if _gone(each) or each.completed_at / 1000 < before_s]
        for each in over:
            DBOS.delete_workflow(each.workflow_id, delete_children=True)
        return [_attributes(each)["place"] for each in over]

    def places(self) -> list[str]:
        """Of all jobs."""
        return [_attributes(each)["place"] for each in self._list(load_input=False)]

    def _list(self, **filters: Any) -> list[Any]:
        return DBOS.list_workflows(name=WORKFLOW, **filters)


def _is_news(record: logging.LogRecord) -> bool:
    """That a job was cancelled while it ran is no error."""
    failure = record.exc_info[1] if record.exc_info else None
    return not isinstance(failure, error.DBOSAwaitedWorkflowCancelledError)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _attributes(workflow: Any) -> dict[str, Any]:
    return workflow.attributes or {}


def _gone(workflow: Any) -> bool:
    return "gone" in _attributes(workflow)


def _state(workflow: Any) -> str:
    if workflow.status == "SUCCESS":
        return "failed" if (workflow.output or {}).get("failed") else "succeeded"
    return STATES.get(workflow.status, "failed")


def _shown(workflow: Any) -> dict[str, Any]:
    """Times in s since 1970; ``parts`` can be read, ``seconds`` of ``duration`` have been heard."""
    events = DBOS.get_all_events(workflow.workflow_id)
    parts, seconds, duration = events.get("progress") or [0, 0.0, None]
    dequeued, completed = workflow.dequeued_at, workflow.completed_at
    return {
        "id": workflow.workflow_id,
        "owner": workflow.authenticated_user,
        **_attributes(workflow),
        "state": _state(workflow),
        "created": workflow.created_at / 1000,
        "started": dequeued / 1000 if dequeued else None,
        "ended": completed / 1000 if completed else None,
        "parts": parts,
        "seconds": seconds,
        "duration": duration,
    }


def _alive(url: Any, executor: str) -> Any:
    """A session of PostgreSQL with a lock that ends with this process: no clock is compared."""
    own = psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    own.autocommit = True
    own.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (LOCKS, executor))
    return own


def _stay_alive(own: Any, executor: str) -> None:
    """Takes over from workers that have died. Where its own session is lost, another worker may believe this
    one dead: then it is.
    """
    try:
        while True:
            time.sleep(ALIVE_S)
            own.execute("SELECT 1")
            _take_over(own, executor)
    except Exception:
        os._exit(1)


def _take_over(own: Any, executor: str) -> None:
    running = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    for other in {each.executor_id for each in running if each.executor_id} - {executor}:
        [(dead,)] = own.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LOCKS, other))
        if dead:
            DBOS._recover_pending_workflows([other])
            own.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (LOCKS, other))


async def main(descriptor: int) -> None:
    engine = Engine()
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor), limit=1 << 22)

    async def answer(name: str, arguments: list[Any]) -> Any:
        if name == "ping":  # at once, also where threads wait for the database
            return None
        return await asyncio.to_thread(getattr(engine, name), *arguments)

    service.loop = asyncio.get_running_loop()
    service.channel = Channel(reader, writer, answer)
    await service.channel.serve()
    os._exit(0)  # the service is gone: the next one goes on


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
