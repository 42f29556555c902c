"""Processes of a service with jobs, killed at random moments: python -m tests.jobs.kills --kills 50.

Each job must end with the text that the request without jobs is answered with, letter by letter, and who
reads its events must read each segment once.
"""

import argparse
import io
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import psutil
import soundfile

from tests.conftest import CLIPS, PATIENCE_S, ROOT, Service

KINDS = ("engine", "entry", "model", "all")
KEY = "bm9ib2R5IGtlZXBzIGFueXRoaW5nIHdpdGggdGhlc2U="  # of nobody
LONGEST_S = 3.0  # from one kill to the next, once work goes on


def long_recording(clips: int) -> bytes:
    """Many clips with pauses between them, as WAV."""
    parts = []
    for number in range(clips):
        pause = np.zeros(8_000 + 977 * number % 9_000, np.float32)
        parts += [CLIPS[number % len(CLIPS)].waveform, pause]
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts), 16_000, format="WAV")
    return file.getvalue()


def settings(folder: Path | str) -> dict[str, str]:
    """Of a service with jobs."""
    return {"MEDASR_JOBS": "on", "MEDASR_JOBS_DIR": str(folder), "MEDASR_JOBS_KEY": KEY}


def process(service: Service, kind: str) -> psutil.Process | None:
    """None while it is away."""
    marks = {"engine": "medasr_service.jobs.engine", "entry": "medasr", "model": "medasr-model"}
    with suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(service.process.pid)
        if kind == "all":
            return supervisor
        for each in supervisor.children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if marks[kind] in each.cmdline():
                    return each
    return None


def ask(service: Service, path: str) -> httpx.Response | None:
    with suppress(httpx.TransportError):
        answer = httpx.get(service.url + path, timeout=PATIENCE_S)
        if answer.status_code < 500:
            return answer
    return None


def asked(service: Service, path: str) -> httpx.Response:
    """As soon as there is somebody to answer."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := ask(service, path)) is None:
        assert time.monotonic() < deadline, service.log.read_text()
        time.sleep(0.1)
    return answer


def submit(service: Service, recording: bytes, **fields: str) -> str:
    """As soon as there is somebody to take it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            files = {"file": recording}
            answer = httpx.post(f"{service.url}/v1/jobs", files=files, data=fields, timeout=PATIENCE_S)
            if answer.status_code != 503:
                assert answer.status_code == 202, answer.text
                return str(answer.headers["location"])
        time.sleep(0.1)
    raise TimeoutError(service.log.read_text())


def events(service: Service, job: str, last: int) -> Iterator[tuple[int, dict[str, object]]]:
    """Behind ``last``, until the connection breaks or the job ends."""
    headers = {} if last < 0 else {"Last-Event-ID": str(last)}
    with (
        suppress(httpx.TransportError),
        httpx.stream("GET", f"{service.url}{job}/events", headers=headers, timeout=PATIENCE_S) as answer,
    ):
        number = -1
        for line in answer.iter_lines():
            if line.startswith("id: "):
                number = int(line.removeprefix("id: "))
            if line.startswith("data: "):
                yield number, json.loads(line.removeprefix("data: "))


def run(
    start: Callable[[], Service],
    kills: int,
    chance: random.Random,
    clips: int = 24,
    longest_s: float = LONGEST_S,
    kinds: Sequence[str] = KINDS,
) -> Service:
    """Kills so many processes, one after another, under jobs; the service that is left."""
    service = start()
    service.wait_until_ready()
    recording = long_recording(clips)
    direct = httpx.post(
        f"{service.url}/v1/audio/transcriptions",
        files={"file": recording},
        data={"response_format": "verbose_json"},
        timeout=PATIENCE_S,
    )
    done = 0
    while done < kills:
        job = submit(service, recording, response_format="verbose_json")
        texts: dict[int, str] = {}
        while asked(service, job).json()["status"] in ("queued", "running"):
            for number, event in events(service, job, max(texts, default=-1)):
                if "delta" in event:
                    assert number not in texts
                    texts[number] = str(event["delta"])
                if event["type"] == "error" or (done < kills and chance.random() < 0.3):
                    break
            if done == kills:
                continue
            time.sleep(chance.uniform(0, longest_s))
            kind = kinds[done % len(kinds)]
            if victim := process(service, kind):
                victim.kill()
                done += 1
                print(f"{done}: {kind}, with {len(texts)} segments read", flush=True)
            if kind == "all":
                service.process.wait()
                service = start()
                service.wait_until_ready()
        for number, event in events(service, job, max(texts, default=-1)):
            if "delta" in event:
                texts[number] = str(event["delta"])
        result = asked(service, f"{job}/result")
        assert result.status_code == 200, result.text
        assert result.content == direct.content
        assert "".join(texts[each] for each in sorted(texts)) == direct.json()["text"]
    return service


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started: list[Service] = []

        def start() -> Service:
            (folder / str(len(started))).mkdir()
            log = folder / str(len(started)) / "log.txt"
            started.append(Service(log, "service:MedASR", ROOT, (), **settings(folder / "jobs")))
            return started[-1]

        try:
            run(start, options.kills, random.Random(options.seed))
        finally:
            for each in started:
                each.stop()
    print(f"{options.kills} kills: nothing lost, nothing twice")


if __name__ == "__main__":
    main()
