"""Users of a dictation app, for Locust. `make loadtest` runs it; by hand:

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8400

LOADTEST_* in the environment: PLAN (JSON, the arguments of ramp.Ramp; without, Locust's own), SAMPLES (a CSV
file for each answer, its time and its phase), STEPS (a JSON file for the steps of the ramp), API_KEY.
"""

import json
import logging
import os
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]
import httpx
from locust import FastHttpUser, LoadTestShape, between, constant_pacing, events, task
from locust.env import Environment

from loadtests.ramp import Ramp
from loadtests.recordings import CONTENT_TYPE, FIVE_SECONDS, Recording, dictations, long_file

ROUTE = "/v1/audio/transcriptions"
TIMEOUT_S = 600
ABANDONED = "abandoned"  # by their clients, half-way

KEY = os.environ.get("LOADTEST_API_KEY", "")
HEADERS = {"Content-Type": CONTENT_TYPE, **({"Authorization": f"Bearer {KEY}"} if KEY else {})}
DICTATIONS = dictations()
LONG = long_file()
log = logging.getLogger(__name__)
texts: dict[str, str] = {}  # what the service says of each recording, asked for nothing else


def ask_quietly(host: str) -> None:
    """The known text of each recording: asked for alone, before there is any load.

    Raises ValueError or httpx.HTTPError where that fails.
    """
    for recording in (*DICTATIONS, LONG):
        answer = httpx.post(f"{host}{ROUTE}", content=recording.body, headers=HEADERS, timeout=TIMEOUT_S)
        answer.raise_for_status()
        texts[recording.key] = answer.json()["text"]
    if empty := [key for key, text in texts.items() if not text.strip()]:
        raise ValueError(f"the service hears nothing in {', '.join(empty)}")


@events.test_start.add_listener
def ask_before_the_users_come(environment: Environment, **_: Any) -> None:
    if not texts:
        ask_quietly(environment.host or "")


def fault(status: int, body: bytes | None, recording: Recording) -> str | None:
    """What is wrong with an answer. It never holds a text."""
    if status != 200:
        return f"status {status}"
    answer = json.loads(body or b"{}")
    if not answer.get("text", "").strip():
        return "empty text"
    if answer["text"] != texts[recording.key]:
        return "wrong text"
    if abs(answer["usage"]["seconds"] - recording.seconds) > 0.2:
        return "wrong length"
    return None


class _User(FastHttpUser):
    abstract = True
    network_timeout = connection_timeout = TIMEOUT_S

    def send(self, recording: Recording) -> None:
        with self.client.post(
            ROUTE,
            data=recording.body,  # type: ignore[arg-type]  # bytes go as they are
            headers=HEADERS,
            name=recording.name,
            catch_response=True,
        ) as answer:
            if wrong := fault(answer.status_code, answer.content, recording):
                answer.failure(wrong)


def deck() -> Iterator[Recording]:
    """Each recording once in random order, then again: no step has all the long ones."""
    while True:
        yield from random.sample(DICTATIONS, len(DICTATIONS))


class Dictation(_User):
    """Speaks, sends, reads."""

    weight = 10
    wait_time = between(2, 8)
    recordings = deck()  # of all users together

    @task
    def dictate(self) -> None:
        self.send(next(self.recordings))


class Stopwatch(_User):
    """Beside all others, a 5 s clip each second: the p95 of a step shall rest on enough answers."""

    fixed_count = 1
    wait_time = constant_pacing(1)

    @task
    def measure(self) -> None:
        self.send(random.choice([each for each in DICTATIONS if each.name == FIVE_SECONDS]))


class LongFile(_User):
    """Sends a recording of five minutes now and then."""

    weight = 1
    wait_time = between(30, 60)

    @task
    def send_long(self) -> None:
        self.send(LONG)


class HangUp(_User):
    """Goes away: in the middle of the upload, or before the answer. Always there, at any load."""

    fixed_count = 1
    wait_time = between(5, 15)

    @task
    def go_away(self) -> None:
        recording = random.choice(DICTATIONS)
        address = urlsplit(self.host or "")
        headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        head = f"POST {ROUTE} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}"
        begun = time.perf_counter()
        failure: Exception | None = None
        try:
            with socket.create_connection((address.hostname, address.port or 80), timeout=30) as connection:
                connection.sendall(f"{head}Content-Length: {len(recording.body)}\r\n\r\n".encode())
                whole = random.random() < 0.5
                connection.sendall(recording.body[: None if whole else len(recording.body) // 2])
                gevent.sleep(0.2)
        except OSError as error:
            failure = error
        events.request.fire(
            request_type="POST",
            name=ABANDONED,
            response_time=(time.perf_counter() - begun) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )


if "LOADTEST_PLAN" in os.environ:

    class Plan(LoadTestShape):
        """Locust asks each second how many users there shall be."""

        def __init__(self) -> None:
            super().__init__()
            self.ramp = Ramp(**json.loads(os.environ["LOADTEST_PLAN"]))
            self.phase = "ramp"
            self.answers: list[tuple[float, float]] = []
            self._begun = 0.0
            self._samples = Path(os.environ["LOADTEST_SAMPLES"]).open("a", buffering=1)  # noqa: SIM115
            if not self._samples.tell():  # else the second part of a run
                self._samples.write("time,phase,users,name,seconds,failure\n")
            events.request.add_listener(self.note)
            events.quitting.add_listener(self.finish)

        def tick(self) -> tuple[int, float] | None:
            if not texts and not self._know_texts():
                return None
            found = self.ramp.next(time.monotonic() - self._begun, self.answers)
            if found is None:
                return None
            self.phase, users = found
            return users + Stopwatch.fixed_count + HangUp.fixed_count, 100

        def _know_texts(self) -> bool:
            assert self.runner
            environment = self.runner.environment
            try:
                ask_quietly(environment.host or "")
            except (httpx.HTTPError, ValueError) as error:
                log.error("the texts cannot be known: %s", error)
                environment.process_exit_code = 2
                return False
            self._begun = time.monotonic()
            return True

        def note(self, name: str, response_time: float, exception: object = None, **_: Any) -> None:
            now, seconds = time.monotonic() - self._begun, response_time / 1000
            if name == FIVE_SECONDS and not exception:
                self.answers.append((now, seconds))
            failure = " ".join(str(exception or "").replace(",", ";").split())
            row = (f"{time.time():.3f}", self.phase, str(self.ramp.users), name, f"{seconds:.3f}", failure)
            self._samples.write(",".join(row) + "\n")

        def finish(self, **_: Any) -> None:
            steps, file = [asdict(step) for step in self.ramp.steps], Path(os.environ["LOADTEST_STEPS"])
            if steps or not file.exists():
                file.write_text(json.dumps(steps))
