"""What one request, or live session, asked and came to: filled in by whoever knows, read at its end."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from medasr_service.accounts.keys import Key

_SCOPE_KEY = "medasr.receipt"


@dataclass
class Receipt:
    """``key``: whose it is; None where nobody had to say so. ``is_let_in``: whether that key still opens."""

    key: Key | None = None
    is_let_in: Callable[[], bool] = lambda: True

    @property
    def name(self) -> str | None:
        return self.key.name if self.key else None


def receipt_of(scope: Scope) -> Receipt:
    """That of the request, made where it has none yet: copies of the scope that come from here share it."""
    receipt = scope.setdefault(_SCOPE_KEY, Receipt())
    assert isinstance(receipt, Receipt)
    return receipt
