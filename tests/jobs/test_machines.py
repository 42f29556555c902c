"""Two whole services, one PostgreSQL, one bucket: each may be asked for every job, and one of them dies."""

import os
import signal
from collections.abc import Callable

import httpx
import pytest

from tests.conftest import PATIENCE_S, Service, until
from tests.jobs import kills
from tests.stores import Postgres

pytestmark = pytest.mark.e2e

JOBS = 4
FORM = {"response_format": "verbose_json"}


def states(service: Service, jobs: list[str]) -> list[str]:
    return [kills.asked(service, job).json()["status"] for job in jobs]


def files(bucket: str) -> set[str]:
    import s3fs

    found = s3fs.S3FileSystem(use_listings_cache=False).find(bucket)
    return {str(path).rpartition("/")[2] for path in found}


def test_what_a_machine_leaves_when_it_dies_another_finishes(
    start_service: Callable[..., Service], postgres: Postgres, s3: str
) -> None:
    variables = {
        **kills.settings(s3),
        "MEDASR_JOBS_DATABASE_URL": postgres.url("two_machines"),
        "MEDASR_JOBS_AT_ONCE": "1",
        "MEDASR_MODEL_TIMEOUT_S": "600",  # one that stands still is not replaced
    }
    dying, left = (start_service(**variables) for _ in range(2))  # at once: both make the tables
    for each in (dying, left):
        each.wait_until_ready()
    model = kills.process(dying, "model")
    assert model
    model.suspend()  # until it alone is at work
    recordings = [kills.long_recording(6 + number) for number in range(JOBS)]
    jobs = [
        kills.submit((dying, left)[number % 2], recording, **FORM)
        for number, recording in enumerate(recordings)
    ]
    until(lambda: sorted(states(left, jobs)) == ["running", *["succeeded"] * (JOBS - 1)])
    [held] = [job for job, state in zip(jobs, states(left, jobs), strict=True) if state == "running"]
    model.resume()
    next(kills.events(left, held, -1))  # in the middle of it
    os.killpg(dying.process.pid, signal.SIGKILL)
    dying.process.wait()
    assert set(states(left, jobs)) <= {"running", "succeeded"}
    until(lambda: states(left, jobs) == ["succeeded"] * JOBS)
    for job, recording in zip(jobs, recordings, strict=True):
        direct = httpx.post(
            f"{left.url}/v1/audio/transcriptions", files={"file": recording}, data=FORM, timeout=PATIENCE_S
        )
        assert kills.asked(left, f"{job}/result").content == direct.content
        deltas = [event["delta"] for _, event in kills.events(left, job, -1) if "delta" in event]
        assert "".join(map(str, deltas)) == direct.json()["text"]
    listed = kills.asked(left, "/v1/jobs").json()["data"]
    assert sorted(f"/v1/jobs/{each['id']}" for each in listed) == sorted(jobs)
    assert files(s3) == {"record", "ending", "result"}
