"""What the workflow's steps do, in the process of the service: each may be done again, and does the same."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any, BinaryIO

from medasr_service.audio.reader import in_thread
from medasr_service.errors import InvalidRequest, MedASRError, NotReady, RateLimited, UrlRefused
from medasr_service.jobs import outward, webhook
from medasr_service.jobs.books import CANCELLED, Books, Ledger
from medasr_service.jobs.hearing import Hearing
from medasr_service.jobs.outward import Allowed, Unreachable
from medasr_service.jobs.record import Asked, Failure, Inspected
from medasr_service.jobs.sealed import Broken
from medasr_service.jobs.store import WORK, Store
from medasr_service.settings import Settings
from medasr_service.telemetry.account import OK
from medasr_service.transcriber import Transcriber

MIB = 1 << 20
READ_BYTES = 1 << 18
HEARING = ("prepare", "hear")
OVER = {"done": True, "parts": 0, "seconds": 0.0, "duration": None}
MAX_TRIES = 5  # of what fails for no reason of the service's own
FAILED = "The service failed; its log says why."
LOST, LOST_CODE = "The recording was lost; send it again.", "recording_lost"

log = logging.getLogger("bentoml.medasr")


class Steps:
    """``spool`` makes a file without a name for a recording; ``model``: its name, and all on which answers
    depend."""

    def __init__(
        self,
        store: Store,
        transcriber: Transcriber,
        settings: Settings,
        spool: Callable[[], BinaryIO],
        model: tuple[str, str],
        ledger: Ledger,
    ) -> None:
        self._store = store
        self._transcriber = transcriber
        self._settings = settings
        self._spool = spool
        self._model = model
        self._books = Books(store, ledger)
        self._urls = Allowed(settings.job_url_hosts)
        self._webhooks = Allowed(settings.job_webhook_hosts)
        self._hearings: dict[str, Hearing] = {}
        self._under_way: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)
        self._tries: Counter[str] = Counter()
        self._ended: dict[str, float] = {}  # by their clients, and when; the workflow is about to hear of it
        self._steps: dict[str, Callable[..., Awaitable[Any]]] = {
            "prepare": self._prepare,
            "hear": self._hear,
            "finish": self._finish,
            "give_up": self._give_up,
            "forget": self._cancelled,
            "post": self._post,
        }

    async def __call__(self, name: str, arguments: list[Any]) -> Any:
        """Raises what may go well in a while; what never will is the job's failure."""
        place = arguments[0]
        if place in self._ended and name in HEARING:
            return OVER
        try:
            return await self._run(name, arguments)
        except NotReady:  # the model, the disk: the service's own
            await self.forget(place)
            raise
        except Exception as error:
            if name not in HEARING:
                raise
            return await self._tried(name, place, error)

    async def _run(self, name: str, arguments: list[Any]) -> Any:
        """Where its client ends the job meanwhile, the step is given up, and has ended when that returns."""
        place = arguments[0]
        step = asyncio.ensure_future(self._steps[name](*arguments))
        if name in HEARING:
            self._under_way[place].add(step)
        try:
            return await step
        except asyncio.CancelledError:
            if place in self._ended and name in HEARING:
                return OVER
            raise
        finally:
            self._under_way[place].discard(step)
            if not self._under_way[place]:
                del self._under_way[place]

    async def _tried(self, name: str, place: str, error: Exception) -> dict[str, Any]:
        """The job's failure, or raises once more."""
        await self.forget(place)
        if place in self._ended:
            return OVER
        if not isinstance(error, InvalidRequest | RateLimited):
            self._tries[place] += 1
            log.warning("a job failed at %s: %s, %d times", name, type(error).__name__, self._tries[place])
            if self._tries[place] < MAX_TRIES:
                raise error
        await self._fail(place, _shown(error))
        return OVER

    async def forget(self, place: str) -> None:
        """Gives up what is under way; it can be gone on with."""
        if hearing := self._hearings.pop(place, None):
            await hearing.close()

    async def end(self, place: str) -> None:
        """Nothing more is done of it, nor written; once more, where that raises."""
        self._ended[place] = time.time()
        if steps := self._under_way.get(place):
            for step in steps:
                step.cancel()
            await asyncio.wait(set(steps))
        await self.forget(place)
        await self.settle(place)

    async def settle(self, place: str) -> None:
        """Of one that is over: whose end nobody has written down was cancelled."""
        await self._books.cancel(place)

    async def _cancelled(self, place: str) -> None:
        """Here, or on another machine, while this one was at work: what it has written since goes, too."""
        await self.forget(place)
        self._ended.pop(place, None)
        with suppress(NotReady):  # then it goes when its time is over
            await in_thread(self._store.remove, place, *WORK, "result")

    def swept(self, before_s: float) -> None:
        """Nothing of what was ended before then comes any more, wherever it was at work."""
        self._ended = {place: ended_s for place, ended_s in self._ended.items() if ended_s >= before_s}
        self._books.swept(before_s)

    async def forget_all(self) -> None:
        for place in list(self._hearings):
            await self.forget(place)

    async def _prepare(self, place: str) -> dict[str, Any]:
        asked = await self._record(place)
        if asked is None:
            return OVER
        if asked.url and not await in_thread(self._store.has, place, "sound"):
            await self._fetch(place, asked.url)
        if await in_thread(self._store.has, place, "info"):  # it is charged
            return {"done": False}
        hearing = await self._hearing(place)
        found = await hearing.inspect(asked)
        await self._books.charge(place, asked, found)
        return {"done": False}

    async def _hear(self, place: str, number: int) -> dict[str, Any]:
        asked = await self._record(place)
        if asked is None:
            return OVER
        hearing = await self._hearing(place)
        info = await in_thread(self._store.load, place, "info")
        found = Inspected.model_validate_json(info) if info else await hearing.inspect(asked)
        hearing.begin(asked, found)
        return await hearing.part(number)

    async def _finish(self, place: str) -> dict[str, Any]:
        """The sound is of no use any more, and goes."""
        await self.forget(place)
        self._tries.pop(place, None)
        asked = await self._record(place)
        outcome = await self._books.close(place, asked, await self._outcome(place)) if asked else LOST_CODE
        webhook = bool(asked and asked.webhook_url and outcome != CANCELLED)
        return {"failed": None if outcome == OK else outcome, "webhook": webhook, "ended": time.time()}

    async def _give_up(self, place: str) -> dict[str, Any]:
        await self._fail(place, MedASRError(FAILED))
        return await self._finish(place)

    async def _post(self, place: str, job: str, failed: bool, ended_s: float) -> str:
        asked, secret = await self._record(place), self._settings.job_webhook_secret
        if not asked or not asked.webhook_url or not secret:
            return "failed"
        number, body = webhook.message(job, place, failed=failed, ended_s=ended_s)
        try:
            return await webhook.post(
                self._webhooks, asked.webhook_url, secret.get_secret_value(), number, body
            )
        except UrlRefused:  # it was allowed when the job came
            return "failed"

    async def _fail(self, place: str, error: MedASRError) -> None:
        if await self._record(place):  # or it would lie there alone
            await in_thread(self._store.write, place, "failure", Failure.of(error).written())

    async def _outcome(self, place: str) -> str:
        """OK where there is a result; else the failure's code."""
        if await in_thread(self._store.has, place, "result"):
            return OK
        failure = await in_thread(self._store.load, place, "failure")
        return (failure and Failure.model_validate_json(failure).code) or "server_error"

    async def _record(self, place: str) -> Asked | None:
        """None where its client has deleted it meanwhile."""
        kept = await in_thread(self._store.load, place, "record")
        return Asked.model_validate_json(kept) if kept else None

    async def _hearing(self, place: str) -> Hearing:
        if place not in self._hearings:
            file = self._spool()
            try:
                await in_thread(self._unseal, place, file)
            except BaseException:
                file.close()
                raise
            self._hearings[place] = Hearing(self._transcriber, self._store, place, self._model, file)
        return self._hearings[place]

    def _unseal(self, place: str, file: BinaryIO) -> None:
        try:
            for block in self._store.read(place, "sound"):
                file.write(block)
        except (FileNotFoundError, Broken):
            raise InvalidRequest(LOST, code=LOST_CODE, status=500) from None
        file.seek(0)

    async def _fetch(self, place: str, url: str) -> None:
        limits = self._settings
        with self._spool() as file:
            fetched = outward.fetch(
                self._urls,
                url,
                max_bytes=limits.max_upload_mb * MIB,
                idle_s=limits.upload_idle_timeout_s,
                total_s=limits.request_timeout_s,
            )
            async with aclosing(fetched):
                async for block in fetched:
                    await in_thread(file.write, block)
            if not file.tell():
                raise InvalidRequest("The file at the url is empty.", param="url", code="empty_audio")
            file.seek(0)
            await in_thread(self._store.write, place, "sound", blocks_of(file))


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(READ_BYTES):
        yield block


def _shown(error: Exception) -> MedASRError:
    if isinstance(error, Unreachable):
        return InvalidRequest("The url cannot be reached.", param="url", code="url_unusable")
    return error if isinstance(error, MedASRError) else MedASRError(FAILED)
