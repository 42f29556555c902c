"""What each key may use: requests a minute, seconds of sound an hour, live sessions at a time.

Windows are fixed, and begin with the first use: what is left, and until when, can be told exactly. Kept in
the memory of this process; a restart begins anew.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from medasr_service.accounts.keys import Key
from medasr_service.errors import AudioTooLong, RateLimited

MS = 1000  # the library counts in whole numbers


@dataclass(frozen=True)
class Left:
    """Of one limit: ``quota`` in each ``window_s`` seconds, what remains of it, and for how long."""

    name: str
    quota: int
    window_s: int
    remaining: int
    reset_s: int


class Quotas:
    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._live: Counter[str] = Counter()

    async def begin(self, key: Key) -> None:
        """Counts a request, or a live session. Raises RateLimited where one of the limits is reached."""
        if (audio := _audio(key)) and not await self._limiter.test(audio, key.name):
            raise await self._exceeded(
                "audio", key, audio, f"{key.audio_seconds_per_hour:,} s of sound an hour"
            )
        if requests := _requests(key):
            if not await self._limiter.test(requests, key.name):
                said = f"{key.requests_per_minute:,} requests a minute"
                raise await self._exceeded("requests", key, requests, said)
            await self._limiter.hit(requests, key.name)

    async def charge(self, key: Key, audio_s: float) -> None:
        """Counts sound that came. Raises RateLimited where it is more than is left, AudioTooLong where it is
        more than there ever is: none of it counts then.
        """
        if not (audio := _audio(key)):
            return
        cost = round(audio_s * MS)
        if cost > audio.amount:
            raise AudioTooLong(
                f"{audio_s:,.0f} s of audio; the limit of this API key is {audio.amount // MS:,} s an hour."
            )
        if not await self._limiter.test(audio, key.name, cost=cost):
            left = await self._left("audio", key, audio, unit=MS)
            said = f"{left.quota:,} s of sound an hour, of which {left.remaining:,} are left"
            raise await self._exceeded("audio", key, audio, said)
        await self._limiter.hit(audio, key.name, cost=cost)

    async def give_back(self, key: Key, audio_s: float) -> None:
        """Sound that was counted, and of which nothing came; at most what was counted in this window."""
        if not (audio := _audio(key)):
            return
        _, remaining = await self._limiter.get_window_stats(audio, key.name)
        if (cost := min(round(audio_s * MS), audio.amount - remaining)) > 0:
            await self._limiter.hit(audio, key.name, cost=-cost)

    @contextmanager
    def live(self, key: Key) -> Iterator[None]:
        """One of the live sessions of a key. Raises RateLimited where it has as many as it may."""
        if key.live_sessions is not None and self._live[key.name] >= key.live_sessions:
            raise RateLimited(
                f"The limit of this API key is reached: {key.live_sessions} live sessions at a time.", 1
            )
        self._live[key.name] += 1
        try:
            yield
        finally:
            self._live[key.name] -= 1

    async def left(self, key: Key) -> list[Left]:
        """What is left of the limits that the key has; sound in seconds."""
        found = []
        if requests := _requests(key):
            found.append(await self._left("requests", key, requests))
        if audio := _audio(key):
            found.append(await self._left("audio", key, audio, unit=MS))
        return found

    async def _left(self, name: str, key: Key, limit: RateLimitItem, *, unit: int = 1) -> Left:
        reset, remaining = await self._limiter.get_window_stats(limit, key.name)
        reset_s = max(0, math.ceil(reset - time.time()))
        return Left(name, limit.amount // unit, limit.get_expiry(), remaining // unit, reset_s)

    async def _exceeded(self, name: str, key: Key, limit: RateLimitItem, said: str) -> RateLimited:
        left = await self._left(name, key, limit)
        return RateLimited(f"The limit of this API key is reached: {said}.", max(1, left.reset_s))


def _requests(key: Key) -> RateLimitItem | None:
    return RateLimitItemPerMinute(key.requests_per_minute) if key.requests_per_minute else None


def _audio(key: Key) -> RateLimitItem | None:
    """In milliseconds."""
    return RateLimitItemPerHour(key.audio_seconds_per_hour * MS) if key.audio_seconds_per_hour else None
