"""Who sent how much sound when, from where, and what became of it; nothing of what was said, sent or named.

Before work begins there is a line of it, and another one where it ends; a refusal is one line. Lines are on
the disk (fdatasync) a moment after they are made, those that wait meanwhile together. Where the audit is
required, work begins only once its line is there, and is refused where that cannot be.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medasr_service.accounts.chain import Chain, Fields
from medasr_service.errors import AuditUnavailable, UsageError
from medasr_service.telemetry.account import NOBODY, Account
from medasr_service.version import VERSION

OPENED, BEGUN, ENDED, REFUSED, LOST, CLOSED = "opened", "begun", "ended", "refused", "lost", "closed"
JOB = "job"
RETRY_S = 1.0
MOST_KEPT = 10_000  # lines that wait for a disk that takes none
REFUSAL_STATUSES = (401, 403, 429)
REFUSALS_S, MOST_REFUSALS = (
    60.0,
    20,
)  # of one key and reason within so long: the rest is one line with a count

log = logging.getLogger("bentoml.medasr")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class _Refusals:
    """Of one key and reason, since the first of them."""

    since: datetime
    told: int = 0
    untold: int = 0


class Audit:
    def __init__(self, path: Path, *, required: bool, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._required = required
        self._clock = clock
        self._chain = Chain(path)
        self._pending: list[tuple[Fields, asyncio.Future[None] | None]] = []
        self._lost = 0
        self._writing = threading.Lock()
        self._refusals: dict[tuple[str, str], _Refusals] = {}
        self._failing = False
        self._wake = asyncio.Event()
        self._day = clock().date()

    def check(self) -> None:
        """Whether it can be written. Raises UsageError where it must be, and says so where it need not."""
        try:
            self._chain.append()
        except OSError as error:
            said = self._cannot(error)
            if self._required:
                raise UsageError(said) from None
            log.error("%s: work goes on without", said)
        finally:
            self._chain.close()

    def _cannot(self, error: OSError) -> str:
        return f"the audit cannot be written to {self._path}: {error.strerror or error}"

    async def begin(self, account: Account) -> None:
        """Where it is required, waits until the line is there. Raises AuditUnavailable."""
        account.audit_id = uuid.uuid4().hex
        written = asyncio.get_running_loop().create_future() if self._required else None
        self._put(self._entry(BEGUN, account, id=account.audit_id), written)
        if written:
            await written

    def end(self, account: Account) -> None:
        """What became of a request: told of each, once it is over."""
        if account.audit_id:
            sound = {"audio_s": round(account.audio_s, 3), "seconds": round(account.whole_s, 3)}
            outcome = {"id": account.audit_id, "status": account.status, "outcome": account.code, **sound}
            self._put(self._entry(ENDED, account, **outcome))
        elif account.status in REFUSAL_STATUSES:
            self._refused(account)

    def job(self, key: str | None, handed_in: str, outcome: str, audio_s: float) -> None:
        """What became of a job; ``handed_in``: the id of the line of the request that it came with."""
        told = {"id": handed_in, "outcome": outcome, "audio_s": round(audio_s, 3)}
        self._put({"time": self._time(), "event": JOB, "key": key, **told})

    def _refused(self, account: Account) -> None:
        at = account.key, account.code
        seen = self._refusals.setdefault(at, _Refusals(self._clock()))
        if seen.told < MOST_REFUSALS:
            seen.told += 1
            self._put(self._entry(REFUSED, account, status=account.status, outcome=account.code))
        else:
            seen.untold += 1

    def _entry(self, event: str, account: Account, **more: object) -> Fields:
        key = None if account.key == NOBODY else account.key
        who = {"key": key, "address": account.address, "route": account.route, "method": account.method}
        return {"time": self._time(), "event": event, **who, **more}

    def _time(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")

    def _put(self, entry: Fields, written: asyncio.Future[None] | None = None) -> None:
        self._pending.append((entry, written))
        self._wake.set()

    async def keep(self) -> None:
        """Writes what comes, for as long as it runs."""
        self._put({"time": self._time(), "event": OPENED, "version": VERSION})
        await self._flush()
        log.info("audit: %s goes on behind %s", self._path, self._chain.head)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self._wake.wait()
            self._sum_up(REFUSALS_S)
            if self._pending:
                await self._flush()
            if (today := self._clock().date()) != self._day:
                self._day = today
                log.info("audit: its head is %s", self._chain.head)
            if self._failing:
                await asyncio.sleep(RETRY_S)

    def _sum_up(self, age_s: float) -> None:
        """One line for refusals that were only counted."""
        now = self._clock()
        for (key, code), seen in list(self._refusals.items()):
            if (now - seen.since).total_seconds() >= age_s:
                del self._refusals[key, code]
                if seen.untold:
                    since = seen.since.isoformat(timespec="milliseconds")
                    counted = {"key": None if key == NOBODY else key, "outcome": code, "count": seen.untold}
                    self._put({"time": self._time(), "event": REFUSED, **counted, "since": since})

    async def _flush(self) -> None:
        self._wake.clear()
        batch, self._pending = self._pending, []
        try:
            await asyncio.to_thread(self._write, [entry for entry, _ in batch])
        except OSError as error:
            self._failed(batch, error)
        else:
            for _, written in batch:
                if written and not written.done():
                    written.set_result(None)
            if self._failing:
                self._failing = False
                log.info("audit: %s can be written again", self._path)

    def _write(self, entries: list[Fields]) -> None:
        with self._writing:
            lost = [{"time": self._time(), "event": LOST, "count": self._lost}] if self._lost else []
            self._chain.append([*lost, *entries])
            self._lost = 0

    def _failed(self, batch: list[tuple[Fields, asyncio.Future[None] | None]], error: OSError) -> None:
        """Whoever waits is refused; the other lines are kept for the next time."""
        if not self._failing:
            self._failing = True
            log.error("%s: %s", self._cannot(error), "work is refused" if self._required else "it goes on")
        for _, written in batch:
            if written and not written.done():
                written.set_exception(AuditUnavailable())
        kept = [(entry, None) for entry, written in batch if written is None]
        self._lost += max(0, len(kept) - MOST_KEPT)
        self._pending = [*kept[:MOST_KEPT], *self._pending]

    def close(self) -> None:
        """What waits, and a line that says that it ends here."""
        self._sum_up(0)
        entries = [entry for entry, _ in self._pending]
        try:
            self._write([*entries, {"time": self._time(), "event": CLOSED}])
        except OSError as error:
            log.error("%s", self._cannot(error))
        else:
            log.info("audit: its head is %s", self._chain.head)
        finally:
            self._chain.close()
