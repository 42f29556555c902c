"""Whether memory creeps: 2,000 requests of random lengths from 0.3 to 30 s, eight at a time.

    python -m benchmarks.slope                                   # the demo model
    MEDASR_MODEL=build/random-checkpoint python -m benchmarks.slope --requests 300

After a warm-up of a fifth of them a line is fitted through the memory (PSS of all processes) over the rest.
"""

import argparse
import concurrent.futures
import contextlib

import httpx
import numpy as np

from benchmarks.speech import dictation, flac
from loadtests import memory, server

AT_A_TIME, RATE = 8, 16_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2000)
    requests = parser.parse_args().requests
    rng = np.random.default_rng(5)
    speech = dictation(60, 0, rng)
    lengths = rng.uniform(0.3, 30, requests)
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(server.running(None))
        client = stack.enter_context(httpx.Client(timeout=600))
        idle = memory.of_tree(service.pid)[0]

        def send(seconds: float) -> float:
            files = {"file": ("a.flac", flac(speech[: int(seconds * RATE)]), "audio/flac")}
            client.post(f"{service.url}/v1/audio/transcriptions", files=files).raise_for_status()
            return memory.of_tree(service.pid)[0]

        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            mib = np.array(list(pool.map(send, lengths)))
    after = mib[requests // 5 :]
    slope, start = np.polyfit(np.arange(len(after)), after, 1)
    growth = 100 * slope * len(after) / start
    print(
        f"{requests} requests, {lengths.sum() / 60:.0f} min of audio: {idle:.0f} MiB idle,"
        f" mean {after.mean():.0f},"
        f" peak {mib.max():.0f} MiB; growth after the warm-up {growth:+.2f} %"
    )


if __name__ == "__main__":
    main()
