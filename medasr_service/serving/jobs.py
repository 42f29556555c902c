"""What the jobs of this process are given: the model, behind all others; files for their recordings."""

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, cast

from medasr_service.accounts.keys import Key
from medasr_service.api.heard import Heard
from medasr_service.api.served import Served
from medasr_service.api.spool import Room, Spool
from medasr_service.errors import ModelUnavailable
from medasr_service.serving.admission import JOB_PATIENCE_S, Admission
from medasr_service.settings import Settings
from medasr_service.telemetry import account, metrics
from medasr_service.telemetry.account import NOBODY, OK, Account

if TYPE_CHECKING:
    from medasr_service.jobs.jobs import Jobs
    from medasr_service.jobs.record import Asked
    from medasr_service.serving.accounting import Accounting

ROUTE = "/v1/jobs"
NEEDED = ("cryptography", "dbos", "fsspec", "standardwebhooks")  # of the extra


def check(settings: Settings) -> None:
    """Raises ModelUnavailable with one line where jobs are on, and cannot be had."""
    if missing := [name for name in NEEDED if not find_spec(name)]:
        raise ModelUnavailable(f"jobs need {', '.join(missing)}: pip install 'medasr-service[jobs]'")
    from medasr_service.jobs.jobs import Unusable, store_of

    try:
        store_of(settings)
    except Unusable as error:
        raise ModelUnavailable(str(error)) from None


def of(
    settings: Settings, served: Served, admission: Admission, room: Room, accounts: "Accounting"
) -> "Jobs":
    """Called in the running loop."""
    from medasr_service.jobs.jobs import Jobs

    found = served.checkpoint
    infer = partial(admission.infer, patience_s=JOB_PATIENCE_S)
    # all on which the posteriors of a window depend
    fingerprint = f"{found.id} {found.revision} {settings.resolved_engine} {settings.precision}"

    return Jobs(
        settings,
        served.transcriber.through(infer),
        lambda: cast(BinaryIO, Spool(settings, room)),
        (found.id, fingerprint),
        ledger=_Ledger(accounts),
    )


class _Ledger:
    """As the sound of requests is counted; a key that was taken out meanwhile has no limit, and its name."""

    def __init__(self, accounts: "Accounting") -> None:
        self._accounts = accounts

    async def charge(self, key: str | None, audio_s: float) -> None:
        if (found := self._key(key)) and self._accounts.quotas:
            await self._accounts.quotas.charge(found, audio_s)
        metrics.KEY_AUDIO_SECONDS.labels(key or NOBODY).inc(audio_s)
        with account.opened(Account(ROUTE)):
            Heard().recording(audio_s)
        self._count(key, audio_s)

    async def give_back(self, key: str | None, audio_s: float) -> None:
        if (found := self._key(key)) and self._accounts.quotas:
            await self._accounts.quotas.give_back(found, audio_s)
        self._count(key, -audio_s)

    def ended(self, asked: "Asked", outcome: str, audio_s: float) -> None:
        if self._accounts.audit:
            self._accounts.audit.job(asked.key, asked.audit, outcome, audio_s)
        if outcome == OK:
            with account.opened(Account(ROUTE)):
                Heard().until(audio_s)

    def _key(self, name: str | None) -> Key | None:
        return self._accounts.keys.named(name) if name else None

    def _count(self, key: str | None, audio_s: float) -> None:
        if self._accounts.usage:
            self._accounts.usage.count(key or NOBODY, audio_s=audio_s)
