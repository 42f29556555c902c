"""What the jobs of this process are given: the model, behind all others; files for their recordings."""

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, cast

from medasr_service.api.receipts import Receipt
from medasr_service.api.served import Served
from medasr_service.api.spool import Room, Spool
from medasr_service.errors import ModelUnavailable
from medasr_service.serving.admission import JOB_PATIENCE_S, Admission
from medasr_service.settings import Settings

if TYPE_CHECKING:
    from medasr_service.jobs.jobs import Jobs
    from medasr_service.serving.accounting import Accounting

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

    async def charge(name: str | None, audio_s: float) -> None:
        key = accounts.keys.named(name) if name else None
        await Receipt(key, quotas=accounts.quotas, usage=accounts.usage).charge(audio_s)

    return Jobs(
        settings,
        served.transcriber.through(infer),
        lambda: cast(BinaryIO, Spool(settings, room)),
        (found.id, fingerprint),
        charge=charge,
    )
