"""Whose a request, or a live session, is, and what it may still use: for whoever does it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Scope

from medasr_service.accounts.keys import Key

if TYPE_CHECKING:
    from medasr_service.accounts.quotas import Left, Quotas

_SCOPE_KEY = "medasr.receipt"


@dataclass(frozen=True)
class Receipt:
    """``key``: None where nobody had to say whose it is. ``is_let_in``: whether that key still opens."""

    key: Key | None = None
    is_let_in: Callable[[], bool] = lambda: True
    quotas: "Quotas | None" = None

    @property
    def name(self) -> str | None:
        return self.key.name if self.key else None

    async def begin(self) -> None:
        """Counts it. Raises RateLimited."""
        if self.key and self.quotas:
            await self.quotas.begin(self.key)

    async def charge(self, audio_s: float) -> None:
        """Counts sound that came. Raises RateLimited, AudioTooLong."""
        if self.key and self.quotas:
            await self.quotas.charge(self.key, audio_s)

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
