"""Keys, limits, usage and audit, as the settings want them, in the process that answers."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medasr_service.accounts.audit import Audit
from medasr_service.accounts.keys import Keys, read
from medasr_service.settings import Settings

if TYPE_CHECKING:
    from medasr_service.accounts.quotas import Quotas
    from medasr_service.accounts.usage import Usage


def check(settings: Settings) -> None:
    """Before anything is started. Raises UsageError with one line."""
    if settings.api_keys_file:
        read(settings.api_keys_file)
    if usage := _usage(settings):
        usage.open()
    if audit := _audit(settings):
        audit.check()


@dataclass(frozen=True)
class Accounting:
    """What is None is not wanted. A file of keys that cannot be read now lets nobody in until it can."""

    keys: Keys
    quotas: "Quotas | None"
    usage: "Usage | None"
    audit: Audit | None

    @classmethod
    def of(cls, settings: Settings) -> "Accounting":
        keys = Keys(settings.keys, settings.api_keys_file)
        keys.reload()
        return cls(keys, _quotas(settings), _usage(settings), _audit(settings))

    def kept(self) -> list[Coroutine[Any, Any, None]]:
        """What must run for as long as the process does."""
        return [self.keys.watch(), *(each.keep() for each in (self.usage, self.audit) if each)]

    def close(self) -> None:
        for each in (self.usage, self.audit):
            if each:
                each.close()


# Only who wants them has their libraries in memory.


def _quotas(settings: Settings) -> "Quotas | None":
    if settings.api_keys_file is None:
        return None
    from medasr_service.accounts.quotas import Quotas

    return Quotas()


def _usage(settings: Settings) -> "Usage | None":
    if settings.usage_file is None:
        return None
    from medasr_service.accounts.usage import Usage

    return Usage(settings.usage_file)


def _audit(settings: Settings) -> Audit | None:
    return Audit(settings.audit, required=settings.audit_required) if settings.audit else None
