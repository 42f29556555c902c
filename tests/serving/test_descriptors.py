"""What is open in the service once nothing is under way: it does not grow with what was asked before."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from loadtests import asking
from loadtests.recordings import encoded
from tests.conftest import PATIENCE_S, Service

pytestmark = pytest.mark.e2e
AT_ONCE = 8
ROUND = [*AT_ONCE * [asking.plain, asking.streamed, asking.native, asking.bad, asking.hung_up], asking.live]
QUIET_S = 2.0
SPARE = 6  # a connection to the model is kept; a leak of one in a request is forty in a round


def opened(service: Service) -> Counter[str]:
    """By what they are of: the descriptors of the service and of the processes it has started."""
    found: Counter[str] = Counter()
    first = psutil.Process(service.process.pid)
    for process in [first, *first.children(recursive=True)]:
        try:
            found[f"{process.name()} {process.pid}"] += process.num_fds()
        except psutil.NoSuchProcess:  # a decoder whose recording is done
            continue
    return found


def ask_all(service: Service) -> None:
    recording = encoded(2, "flac")

    async def ask() -> None:
        async with asking.client(service.url) as client:
            await asyncio.gather(*(asking.asked(each, client, recording) for each in ROUND))

    asyncio.run(ask())


def at_rest(service: Service) -> Counter[str]:
    """Once it has been the same for QUIET_S, or it never is."""
    deadline = time.monotonic() + PATIENCE_S
    found, since = opened(service), time.monotonic()
    while time.monotonic() < min(since + QUIET_S, deadline):
        time.sleep(0.1)
        if (now := opened(service)) != found:
            found, since = now, time.monotonic()
    return found


def test_nothing_stays_open_behind_requests_of_any_kind(service: Service) -> None:
    ask_all(service)
    before = at_rest(service)
    ask_all(service)
    ask_all(service)
    after = at_rest(service)
    assert after.total() <= before.total() + SPARE, (before, after)


def test_the_process_of_the_model_alone_asks_for_large_pages(service: Service) -> None:
    """They are for its weights; in the others they would only be rounded up to."""
    asking_for = b"GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
    children = psutil.Process(service.process.pid).children()
    asked = {
        "medasr-model" in " ".join(each.cmdline())
        for each in children
        if asking_for in Path(f"/proc/{each.pid}/environ").read_bytes()
    }
    assert asked == {True}
