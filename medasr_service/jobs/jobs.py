"""Jobs as the API and the service see them: taken, shown, ended, forgotten."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from medasr_service.audio.reader import in_thread
from medasr_service.errors import Busy, InvalidRequest, JobNotFound, MedASRError, NotReady
from medasr_service.jobs import sealed, webhook
from medasr_service.jobs.books import Ledger
from medasr_service.jobs.outward import Allowed
from medasr_service.jobs.record import SEGMENTS, STATES, Asked, Failure, Heard, Job
from medasr_service.jobs.sealed import Seal
from medasr_service.jobs.steps import Steps, blocks_of
from medasr_service.jobs.store import WORK, Store, made_s, new_place
from medasr_service.jobs.worker import Worker
from medasr_service.settings import Settings
from medasr_service.telemetry import metrics
from medasr_service.text.transcript import Segment
from medasr_service.transcriber import Transcriber

LOOK_S = 15.0  # between two looks at how many there are
SWEEP_S = 60.0
SETTLED_S = 30.0  # after its end, nothing of a job is under way anywhere

log = logging.getLogger("bentoml.medasr")


class Unusable(Exception):
    """Jobs cannot be had with these settings; the text says why."""


def store_of(settings: Settings) -> Store:
    """Raises Unusable where it cannot be used: no key, no folder."""
    try:
        seal = Seal(sealed.keys(settings))
    except sealed.KeyUnusable as error:
        raise Unusable(str(error)) from None
    if not settings.jobs_dir:
        raise Unusable("jobs need jobs_dir: a folder, or s3://bucket/jobs (gs://, az://)")
    if settings.job_webhook_hosts and not settings.job_webhook_secret:
        raise Unusable("webhooks of jobs need job_webhook_secret, with which they are signed")
    secret = settings.job_webhook_secret
    if secret and not webhook.is_secret(secret.get_secret_value()):
        raise Unusable("job_webhook_secret is not whsec_ and 24 to 64 bytes in base64")
    try:
        store = Store(settings.jobs_dir, seal)
        place = new_place()
        store.write(place, "record", [b""])
        store.remove(place)
    except Exception as error:  # each file system has its own
        cause = error.__cause__ or error
        raise Unusable(f"nothing can be kept in jobs_dir ({type(cause).__name__}: {cause})") from None
    if not store.folder and not settings.jobs_database_url:
        raise Unusable("with a jobs_dir elsewhere, jobs_database_url must name the database")
    return store


class Jobs:
    """``spool`` makes a file without a name for a recording; ``model``: its name, and all on which answers
    depend. To be made in the running loop."""

    def __init__(
        self,
        settings: Settings,
        transcriber: Transcriber,
        spool: Callable[[], BinaryIO],
        model: tuple[str, str],
        *,
        ledger: Ledger,
        webhook_retries_s: Sequence[float] = webhook.RETRIES_S,
    ) -> None:
        self._settings = settings
        self._transcriber = transcriber
        self._seal = Seal(sealed.keys(settings))
        self._store = store_of(settings)
        self._urls, self._webhooks = Allowed(settings.job_url_hosts), Allowed(settings.job_webhook_hosts)
        self._steps = Steps(self._store, transcriber, settings, spool, model, ledger)
        start = (_database(settings, self._store), settings.jobs_at_once, list(webhook_retries_s))
        self._worker = Worker(start, self._steps, self._steps.forget_all)

    async def keep(self) -> None:
        """A task for as long as the service runs."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._worker.keep())
            tasks.create_task(self._look())

    async def submit(
        self,
        client: str,
        asked: Asked,
        sound: BinaryIO | None,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """The job, which is safe once this returns; ``sound`` is None where ``asked`` has a url.

        Raises InvalidRequest for what can be seen now, Busy, NotReady, NoRoom.
        """
        if asked.webhook_url:
            self._webhooks.check(asked.webhook_url, "webhook_url")
        if asked.url:
            self._urls.check(asked.url, "url")
        await in_thread(self._transcriber.check, asked.options)
        place, owner = new_place(), self._owners(client)[0]
        name = (
            self._seal.names("job", owner, idempotency_key)[0] if idempotency_key else secrets.token_hex(16)
        )
        try:
            about = await in_thread(self._keep, place, asked, sound)
        except (Exception, asyncio.CancelledError):  # of a disk that is full, it would take the rest
            with suppress(NotReady):
                await in_thread(self._store.remove, place)
            raise
        limit = self._settings.max_jobs
        # Where this fails it may be taken all the same: what lies there is swept away where it was not.
        found = await self._worker.call("submit", f"job_{name}", owner, place, about, limit)
        if found is None or found["place"] != place:
            await in_thread(self._store.remove, place)
        if found is None:
            raise Busy(f"{limit:,} jobs wait or are under way, the limit of this service.")
        if found["about"] != about:
            raise InvalidRequest(
                "The Idempotency-Key was used with another request.",
                status=422,
                code="idempotency_key_reused",
            )
        return _job(found)

    async def job(self, client: str, number: str) -> Job:
        """Raises JobNotFound, also for another client's."""
        found = await self._worker.call("job", number)
        if not found or found["owner"] not in self._owners(client):
            raise JobNotFound
        return _job(found)

    async def jobs(self, client: str, limit: int, after: str | None) -> tuple[list[Job], bool]:
        """The newest first, and whether there are more."""
        found = await self._worker.call("jobs", self._owners(client), limit, after)
        return [_job(each) for each in found[:limit]], len(found) > limit

    async def count(self) -> None:
        """Shows how many there are in each state."""
        found: dict[str, int] = await self._worker.call("count")
        for state in STATES:
            metrics.JOBS.labels(state).set(found.get(state, 0))

    async def cancel(self, client: str, number: str) -> Job:
        """What was heard of it goes at once, with its sound; one that is over stays as it is."""
        job = await self._stopped(client, number)
        if job.state == "cancelled":
            await in_thread(self._store.remove, job.place, *WORK, "result")
        return job

    async def delete(self, client: str, number: str) -> None:
        """Its sound and its text are gone when this returns; it itself last, so that who finds the store away
        can ask again.
        """
        job = await self._stopped(client, number)
        await in_thread(self._store.remove, job.place)
        await self._worker.call("delete", number)

    async def _stopped(self, client: str, number: str) -> Job:
        """The job, of which nothing is under way any more; also for who asks again."""
        job = await self.job(client, number)
        if not job.over:
            await self._worker.call("cancel", number)
            job = await self.job(client, number)
        if job.state == "cancelled":
            await self._steps.end(job.place)
        return job

    async def asked(self, job: Job) -> Asked:
        return Asked.model_validate_json(await self._load(job, "record"))

    async def heard(self, job: Job) -> Heard:
        """The result of one that has succeeded."""
        return Heard.model_validate_json(await self._load(job, "result"))

    async def failure(self, job: Job) -> Failure:
        """Of one that has failed."""
        found = await in_thread(self._store.load, job.place, "failure")
        return Failure.model_validate_json(found) if found else Failure.of(MedASRError("The service failed."))

    async def segments(self, job: Job, part: int) -> list[Segment]:
        """Of one of its ``parts``, which are there until it has succeeded."""
        found = await in_thread(self._store.load, job.place, f"part-{part}")
        return SEGMENTS.validate_json(found) if found else []

    def expires_s(self, job: Job) -> float | None:
        return None if job.ended is None else job.ended + self._settings.jobs_ttl_h * 3600

    async def sweep(self, now_s: float) -> None:
        """Takes away what is over its time, and what no job knows of."""
        before_s = now_s - self._settings.jobs_ttl_h * 3600
        self._steps.swept(before_s)
        for place in await self._worker.call("sweep", before_s, now_s - SETTLED_S):
            await self._steps.settle(place)
            await in_thread(self._store.remove, place)
        begun_s = now_s - self._settings.request_timeout_s - SETTLED_S  # an upload of then has ended
        lying = [place for place in await in_thread(self._store.places) if made_s(place) < begun_s]
        if lying:
            known = set(await self._worker.call("places"))
            for place in lying:
                if place not in known:
                    await in_thread(self._store.remove, place)

    def close(self) -> None:
        """Nothing is lost: who starts next goes on."""
        self._worker.close()

    async def _look(self) -> None:
        swept_s = time.time()
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.count()
                if time.time() - swept_s > SWEEP_S:
                    await self.sweep(time.time())
                    swept_s = time.time()
            except Exception as error:
                log.warning("the jobs could not be looked at (%s)", type(error).__name__)

    async def _load(self, job: Job, name: str) -> bytes:
        found = await in_thread(self._store.load, job.place, name)
        if found is None:  # deleted meanwhile
            raise JobNotFound
        return found

    def _owners(self, client: str) -> list[str]:
        return self._seal.names("owner", client)

    def _keep(self, place: str, asked: Asked, sound: BinaryIO | None) -> str:
        """What stands for the request: the same for the same sound and fields."""
        heard = hashlib.sha256(asked.meant())

        def counted() -> Iterator[bytes]:
            assert sound
            for block in blocks_of(sound):
                heard.update(block)
                yield block

        if sound:
            sound.seek(0)
            self._store.write(place, "sound", counted())
        self._store.write(place, "record", asked.written())
        return self._seal.names("about", heard.hexdigest())[0]


def _database(settings: Settings, store: Store) -> str:
    if settings.jobs_database_url:
        return settings.jobs_database_url.get_secret_value()
    assert store.folder
    return f"sqlite:///{Path(store.folder) / 'jobs.sqlite'}"


def _job(found: dict[str, Any]) -> Job:
    kept = ("id", "state", "created", "started", "ended", "seconds", "duration", "parts", "place")
    return Job(**{name: found[name] for name in kept})
