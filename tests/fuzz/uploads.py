"""Sends mutated recordings to a service that runs, and counts its answers: none may be 5xx.

python -m tests.fuzz.uploads http://127.0.0.1:8400 --count 10000. Every so often a client hangs up half-way. A
sound recording between them must always have the same text.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from contextlib import suppress

import httpx

from tests.conftest import CLIPS
from tests.fuzz import seeds
from tests.fuzz.mutations import mutate

ROUTE = "/v1/audio/transcriptions"
CLIENTS = 8
HANG_UPS = 20  # one in so many
SOUND = 25
FORMATS = ("json", "text", "srt", "verbose_json")


async def send(client: httpx.AsyncClient, number: int, made: list[bytes]) -> str:
    """The status, and whether there is a sentence."""
    dice = random.Random(number)
    form = {"response_format": dice.choice(FORMATS), "stream": str(dice.random() < 0.1).lower()}
    request = client.post(ROUTE, files={"file": ("file", mutate(number, made))}, data=form)
    if number % HANG_UPS == 0:
        with suppress(TimeoutError, httpx.TimeoutException):
            await asyncio.wait_for(request, 0.02 * dice.random())
        return "hung up"
    answer = await request
    if answer.status_code >= 400:
        assert len(answer.json()["error"]["message"]) > 10, answer.text
    return str(answer.status_code)


async def run(url: str, first: int, count: int) -> Counter[str]:
    made = seeds.make()
    clip = CLIPS[0].path.read_bytes()
    numbers = iter(range(first, first + count))
    found: Counter[str] = Counter()
    texts: set[str] = set()

    async def work(client: httpx.AsyncClient) -> None:
        for number in numbers:
            if number % SOUND == 0:
                answer = await client.post(ROUTE, files={"file": ("clip.wav", clip)})
                texts.add(answer.text)
                found[f"sound: {answer.status_code}"] += 1
            found[await send(client, number, made)] += 1

    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as client:
        await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
    found["texts of the sound recording"] = len(texts)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.uploads")
    parser.add_argument("url")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    found = asyncio.run(run(options.url, options.first, options.count))
    print(dict(found.most_common()))
    failed = any(name.split(": ")[-1].startswith("5") for name in found)
    return 1 if failed or found["texts of the sound recording"] > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
