"""SIGTERM at any moment of a request's life: whether each that was admitted is finished.

    python -m loadtests.stops --tries 20

Each try starts the service, sends four requests of each kind a little apart, and tells it to leave at a
moment drawn by chance. A request is admitted where it was not refused as ``draining``, nor sent behind the
signal when nobody listened any more.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from loadtests import asking, server
from loadtests.recordings import Recording, encoded

KINDS = 4 * (asking.plain, asking.streamed, asking.native)
SPREAD_S = 1.5  # within which requests are sent, and the signal comes
REFUSED = (503, "draining")


async def attempt(log: Path, recording: Recording, expected: str, seed: int) -> Counter[str]:
    chance = random.Random(seed)
    with server.running(log, variables={"MEDASR_HOST": "127.0.0.1"}) as started:
        async with asking.client(started.url) as client:

            async def later(ask: asking.Ask) -> tuple[float, asking.Outcome]:
                await asyncio.sleep(chance.uniform(0, SPREAD_S))
                return time.monotonic(), await asking.asked(ask, client, recording)

            tasks = [asyncio.create_task(later(ask)) for ask in KINDS]
            await asyncio.sleep(chance.uniform(0.1, SPREAD_S))
            told = time.monotonic()
            os.kill(started.pid, signal.SIGTERM)
            outcomes = await asyncio.gather(*tasks)
        status = await asyncio.to_thread(psutil.Process(started.pid).wait, 120)
    counted: Counter[str] = Counter()
    for sent, each in outcomes:
        if (each.status, each.code) == REFUSED:
            counted["refused"] += 1
        elif each.status == 0 and sent > told:
            counted["sent behind the end"] += 1
        elif each.status == 200 and each.text == expected:
            counted["finished"] += 1
        else:
            counted[f"CUT {each.kind} {each.status} {each.code}"] += 1
    counted["left with 0" if status == 0 else f"LEFT WITH {status}"] += 1
    return counted


async def reference(log: Path, recording: Recording) -> str:
    with server.running(log, variables={"MEDASR_HOST": "127.0.0.1"}) as started:
        async with asking.client(started.url) as client:
            return (await asking.plain(client, recording)).text or ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--log", type=Path, default=Path("build/stops.log"))
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    recording = encoded(8, "flac")
    expected = asyncio.run(reference(arguments.log, recording))
    total: Counter[str] = Counter()
    for seed in range(arguments.tries):
        total += asyncio.run(attempt(arguments.log, recording, expected, seed))
        print(f"{seed + 1}: {dict(total)}", file=sys.stderr, flush=True)
    print("\n".join(f"{count:5} {what}" for what, count in sorted(total.items())))
    return 1 if any(what.startswith(("CUT", "LEFT")) for what in total) else 0


if __name__ == "__main__":
    sys.exit(main())
