"""How fast an upload comes, and for how long it may be waited for."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope

from medasr_service.errors import UploadStalled

KIB = 1 << 10
SCOPE_KEY = "medasr.pace"
SLOW_AFTER_S = 5.0  # a client that is served well has sent something by then, also on a busy machine

Clock = Callable[[], float]


@dataclass(frozen=True)
class Patience:
    """Nothing may come for ``idle_timeout_s``; what came must then have come at ``min_kb_per_s`` (KiB) on
    average, or 0 for at any rate."""

    idle_timeout_s: float
    min_kb_per_s: float = 0.0

    def due(self, received: int) -> float:
        """How long so many bytes may have taken, in s."""
        return received / (self.min_kb_per_s * KIB) if self.min_kb_per_s else float("inf")


class Pace:
    """One upload's. While it is slow, its place among those under way may be taken from it."""

    def __init__(self, patience: Patience, clock: Clock = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._begun = clock()
        self._waiting: asyncio.Timeout | None = None
        self.received = 0
        self.revoked = False
        self.whole = False

    @property
    def slow(self) -> bool:
        elapsed = self._clock() - self._begun
        return not self.whole and elapsed > max(SLOW_AFTER_S, self._patience.due(self.received))

    def revoke(self) -> None:
        """Another request has its place; whoever waits for its next piece is told."""
        self.revoked = True
        if self._waiting:
            self._waiting.reschedule(0)

    async def next(self, receive: Receive) -> Message:
        """The next piece. Raises UploadStalled."""
        left_s = self._patience.idle_timeout_s + self._patience.due(self.received)
        left_s -= self._clock() - self._begun
        idle_s = self._patience.idle_timeout_s
        if self.revoked or left_s <= 0:
            raise self._stalled(left_s)
        try:
            async with asyncio.timeout(min(idle_s, left_s)) as self._waiting:
                message = await receive()
        except TimeoutError:
            raise self._stalled(left_s) from None
        finally:
            self._waiting = None
        if self.revoked:  # the piece came in the same moment
            raise self._stalled(left_s)
        self.received += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        return message

    def _stalled(self, left_s: float) -> UploadStalled:
        patience = self._patience
        if self.revoked:
            return UploadStalled("The upload was slow, and another one has its place.")
        if self.received and left_s < patience.idle_timeout_s:
            return UploadStalled(f"The upload came at less than {patience.min_kb_per_s:g} KiB a second.")
        return UploadStalled(f"Nothing of the upload came for {patience.idle_timeout_s:g} s.")


def pace_of(scope: Scope) -> Pace | None:
    """That of the request, where it came through BodyLimit."""
    pace = scope.get(SCOPE_KEY)
    return pace if isinstance(pace, Pace) else None
