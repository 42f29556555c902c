"""Places that are few: how many each client may hold, and who gives way where others wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from medasr_service.errors import Busy


@dataclass(frozen=True, eq=False)
class Place:
    """Of a client. ``yields`` says how soon it gives way to others, the most first; None where it stays.

    ``leave`` is called where it has to: the place is another's then.
    """

    client: str
    yields: Callable[[], float | None]
    leave: Callable[[], None]


class Places:
    """``limit`` places. A client that holds some gets another one only while enough are free: alone it gets
    ``share`` of them all, beside others that do the same a smaller part. Who holds none gets any free one.
    """

    def __init__(
        self, what: str, limit: int, share: float, changed: Callable[[int], None] = lambda _: None
    ) -> None:
        """``changed`` is told how many are taken."""
        self._changed = changed
        self._what = what
        self._limit = limit
        self._share = share
        self._taken: list[Place] = []

    def __len__(self) -> int:
        return len(self._taken)

    @contextmanager
    def taken(self, place: Place) -> Iterator[None]:
        """Raises Busy where there is none, and nobody gives way."""
        if who := self._in_the_way(place.client):
            self._taken.remove(who)
            who.leave()
        self._taken.append(place)
        self._changed(len(self))
        try:
            yield
        finally:
            if place in self._taken:
                self._taken.remove(place)
            self._changed(len(self))

    def _may_take(self, client: str, without: Place | None = None) -> bool:
        held = [each.client for each in self._taken if each is not without]
        free = self._limit - len(held)
        return free > 0 and held.count(client) * (1 - self._share) < self._share * free

    def check(self, client: str) -> None:
        """Raises Busy where there would be no place now."""
        self._in_the_way(client)

    def _in_the_way(self, client: str) -> Place | None:
        """Who has to leave first; raises Busy where nobody does who makes room by that."""
        if self._may_take(client):
            return None
        ready = [
            (soon, i)
            for i, each in enumerate(self._taken)
            if (soon := each.yields()) is not None and self._may_take(client, without=each)
        ]
        if not ready:
            raise self._busy(client)
        return self._taken[max(ready, key=lambda each: (each[0], -each[1]))[1]]

    def _busy(self, client: str) -> Busy:
        if len(self) >= self._limit:
            return Busy(
                f"{len(self)} {self._what} are under way, the limit of this service. Try again.",
                reason="places",
            )
        own = sum(each.client == client for each in self._taken)
        return Busy(
            f"{own} {self._what} of yours are under way; what is free is kept for others. Try again.",
            reason="share_of_client",
        )
