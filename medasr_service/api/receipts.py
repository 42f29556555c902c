"""Whose a request, or a live session, is, and what it may still use: for whoever does it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Scope

from medasr_service.accounts.keys import Key
from medasr_service.telemetry import account, metrics
from medasr_service.telemetry.account import NOBODY

if TYPE_CHECKING:
    from medasr_service.accounts.audit import Audit
    from medasr_service.accounts.quotas import Left, Quotas
    from medasr_service.accounts.usage import Usage

_SCOPE_KEY = "medasr.receipt"


@dataclass(frozen=True)
class Receipt:
    """``key``: None where nobody had to say whose it is. ``is_let_in``: whether that key still opens."""

    key: Key | None = None
    is_let_in: Callable[[], bool] = lambda: True
    quotas: "Quotas | None" = None
    usage: "Usage | None" = None
    audit: "Audit | None" = None

    @property
    def name(self) -> str | None:
        return self.key.name if self.key else None

    async def begin(self, *, is_live: bool = False) -> None:
        """Counts it, and has it audited. Raises RateLimited, AuditUnavailable."""
        if self.key and self.quotas:
            await self.quotas.begin(self.key)
        if self.audit and (found := account.current()):
            await self.audit.begin(found)
        metrics.KEY_REQUESTS.labels(self.name or NOBODY).inc()
        if self.usage:
            self.usage.count(self.name or NOBODY, requests=not is_live, live_sessions=is_live)

    async def charge(self, audio_s: float) -> None:
        """Counts sound that came. Raises RateLimited, AudioTooLong."""
        if self.key and self.quotas:
            await self.quotas.charge(self.key, audio_s)
        metrics.KEY_AUDIO_SECONDS.labels(self.name or NOBODY).inc(audio_s)
        if self.usage:
            self.usage.count(self.name or NOBODY, audio_s=audio_s)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Counts it among the live sessions of its key. Raises RateLimited."""
        if not (self.key and self.quotas):
            yield
            return
        with self.quotas.live(self.key):
            yield

    async def left(self) -> "list[Left]":
        return await self.quotas.left(self.key) if self.key and self.quotas else []


NOBODYS = Receipt()


def receipt_of(scope: Scope) -> Receipt:
    """That of the request; where no key is needed, there is none."""
    receipt = scope.get(_SCOPE_KEY, NOBODYS)
    assert isinstance(receipt, Receipt)
    return receipt


def put(scope: Scope, receipt: Receipt) -> Scope:
    """The scope with it, for who is further in."""
    return {**scope, _SCOPE_KEY: receipt}
