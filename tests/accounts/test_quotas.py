"""What a key may use: counted in windows that begin with the first use."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from medasr_service.accounts.keys import Key, digest
from medasr_service.accounts.quotas import Left, Quotas
from medasr_service.errors import AudioTooLong, RateLimited


def key(name: str = "ward-3", **limits: Any) -> Key:
    return Key(name=name, sha256=(digest(name).hex(),), **limits)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s)

    def later(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    return later


async def test_a_key_without_limits_has_none() -> None:
    quotas, free = Quotas(), key()
    for _ in range(100):
        await quotas.begin(free)
        await quotas.charge(free, 1e6)
    assert await quotas.left(free) == []


async def test_so_many_requests_a_minute_and_then_again(pass_time: Callable[[float], None]) -> None:
    quotas, ward, other = Quotas(), key(requests_per_minute=2), key("ward-4", requests_per_minute=1)
    for _ in range(2):
        await quotas.begin(ward)
        pass_time(20)
    with pytest.raises(RateLimited, match="2 requests a minute") as refused:
        await quotas.begin(ward)
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
    assert refused.value.retry_after_s == 20
    assert await quotas.left(ward) == [Left("requests", 2, 60, 0, 20)]
    await quotas.begin(other)
    pass_time(20)
    await quotas.begin(ward)
    assert await quotas.left(ward) == [Left("requests", 2, 60, 1, 60)]


async def test_so_much_sound_an_hour(pass_time: Callable[[float], None]) -> None:
    quotas, ward = Quotas(), key(audio_seconds_per_hour=100)
    await quotas.charge(ward, 60.25)
    with pytest.raises(RateLimited, match="100 s of sound an hour, of which 39 are left"):
        await quotas.charge(ward, 40)
    await quotas.charge(ward, 39.75)  # what was refused was not counted
    assert await quotas.left(ward) == [Left("audio", 100, 3600, 0, 3600)]
    pass_time(3000)
    with pytest.raises(RateLimited, match="100 s of sound an hour") as refused:
        await quotas.begin(ward)
    assert refused.value.retry_after_s == 600
    pass_time(600)
    await quotas.begin(ward)


async def test_what_is_given_back_can_be_used_again_and_is_no_more_than_was_counted(
    pass_time: Callable[[float], None],
) -> None:
    quotas, ward = Quotas(), key(audio_seconds_per_hour=100)
    await quotas.charge(ward, 60)
    await quotas.give_back(ward, 60)
    await quotas.charge(ward, 70)
    await quotas.give_back(ward, 500)
    assert (await quotas.left(ward))[0].remaining == 100
    await quotas.charge(ward, 100)
    pass_time(3601)
    await quotas.give_back(ward, 50)  # of a window that is over
    assert (await quotas.left(ward))[0].remaining == 100
    await quotas.give_back(key(), 50)  # one without limits


async def test_a_recording_that_is_longer_than_the_limit_ever_is_is_told_so() -> None:
    with pytest.raises(AudioTooLong, match=r"101 s of audio; the limit of this API key is 100 s an hour"):
        await Quotas().charge(key(audio_seconds_per_hour=100), 100.7)


async def test_so_many_live_sessions_at_a_time() -> None:
    quotas, ward = Quotas(), key(live_sessions=1)
    with quotas.live(ward), pytest.raises(RateLimited, match="1 live sessions"), quotas.live(ward):
        pass
    with quotas.live(ward):
        pass
    with pytest.raises(RateLimited), quotas.live(key(live_sessions=0)):
        pass
