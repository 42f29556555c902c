"""What a clip of five seconds waits: alone, beside one long file, beside ten jobs under way at once.

    python -m loadtests.beside --rounds 6 --clips 10

Rounds are interleaved in one service, so that a machine that is busy with other things is so in all of them.
Jobs must cost a clip what a long file costs it, and no more: exits with 1 where their medians are further
apart than ``--most``.
"""

import argparse
import asyncio
import base64
import secrets
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from loadtests import asking, server
from loadtests.recordings import Recording, encoded

JOBS = 10
LONG_S = 3600
CLIP_S = 5
PATIENCE_S = 600.0

Beside = Callable[[httpx.AsyncClient, Recording], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def nothing(_client: httpx.AsyncClient, _long: Recording) -> AsyncGenerator[None, None]:
    yield


@asynccontextmanager
async def one_file(client: httpx.AsyncClient, long: Recording) -> AsyncGenerator[None, None]:
    """Streamed, from its first segment on; hung up on at the end."""
    begun = asyncio.Event()

    async def send() -> None:
        file = {"file": long.data}
        async with client.stream("POST", asking.ROUTE, files=file, data={"stream": "true"}) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    begun.set()
        raise EOFError("the long file ended before the clips did")

    sending = asyncio.create_task(send())
    async with asyncio.timeout(PATIENCE_S):
        await begun.wait()
    yield
    assert not sending.done(), sending
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending


@asynccontextmanager
async def ten_jobs(client: httpx.AsyncClient, long: Recording) -> AsyncGenerator[None, None]:
    """All under way."""
    jobs = [await _submit(client, long) for _ in range(JOBS)]
    async with asyncio.timeout(PATIENCE_S):
        while not all([(await client.get(job)).json()["progress"]["duration"] for job in jobs]):
            await asyncio.sleep(0.2)
    yield
    states = [(await client.get(job)).json()["status"] for job in jobs]
    assert states == ["running"] * JOBS, states  # until the last clip
    for job in jobs:
        await client.delete(job)


async def _submit(client: httpx.AsyncClient, long: Recording) -> str:
    answer = await client.post("/v1/jobs", files={"file": long.data})
    answer.raise_for_status()
    return str(answer.headers["location"])


async def measure(url: str, rounds: int, clips: int) -> dict[str, list[float]]:
    """Seconds of each clip."""
    clip, long = encoded(CLIP_S, "flac"), encoded(LONG_S, "flac")
    found: dict[str, list[float]] = {"alone": [], "beside one long file": [], "beside ten jobs": []}
    kinds: list[Beside] = [nothing, one_file, ten_jobs]
    async with asking.client(url) as client:
        for number in range(rounds):
            for name, beside in zip(found, kinds, strict=True):
                async with beside(client, long):
                    for _ in range(clips):
                        began = time.perf_counter()
                        outcome = await asking.plain(client, clip)
                        assert outcome.status == 200, outcome
                        found[name].append(time.perf_counter() - began)
            print(f"{number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--most", type=float, default=1.5, help="median beside jobs / beside a file")
    parser.add_argument("--log", type=Path, default=Path("build/beside.log"))
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        variables = {
            "MEDASR_HOST": "127.0.0.1",
            "MEDASR_JOBS": "on",
            "MEDASR_JOBS_DIR": folder,
            "MEDASR_JOBS_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "MEDASR_JOBS_AT_ONCE": str(JOBS),
            "MEDASR_CLIENT_SHARE": "1",
        }
        with server.running(arguments.log, variables=variables) as started:
            found = asyncio.run(measure(started.url, arguments.rounds, arguments.clips))
    for name, seconds in found.items():
        tenths = statistics.quantiles(seconds, n=20)
        print(f"{name:22} median {statistics.median(seconds):.3f} s, p95 {tenths[-1]:.3f} s")
    ratio = statistics.median(found["beside ten jobs"]) / statistics.median(found["beside one long file"])
    print(f"ten jobs / one long file: {ratio:.2f}")
    return 0 if ratio <= arguments.most else 1


if __name__ == "__main__":
    sys.exit(main())
