"""medasr jobs against a service, and against what answers as one does in trouble."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medasr_service import cli
from tests.conftest import CLIPS, PATIENCE_S, Service
from tests.jobs import kills
from tests.jobs.conftest import Web, reply, web  # noqa: F401  # a fixture

MEDASR = Path(sys.executable).with_name("medasr")


def medasr(*words: object, url: str) -> subprocess.CompletedProcess[str]:
    command = [str(MEDASR), "jobs", str(words[0]), "--url", url, *map(str, words[1:])]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.mark.e2e
def test_a_recording_goes_there_and_comes_back_as_text(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service(**kills.settings(tmp_path))
    service.wait_until_ready()
    clip = CLIPS[0].path
    job = medasr("submit", clip, "--field", "formatting=raw", url=service.url).stdout.strip()
    assert job.startswith("job_")
    watched = medasr("watch", job, url=service.url)
    text = medasr("result", job, "--format", "text", url=service.url).stdout
    assert (watched.returncode, watched.stdout) == (0, text)
    assert json.loads(medasr("status", job, url=service.url).stdout)["status"] == "succeeded"
    missing = tmp_path / "missing.wav"
    done = medasr("submit", "--watch", "--field", "formatting=raw", clip, missing, url=service.url)
    assert (done.returncode, done.stdout) == (1, text)
    assert str(missing) in done.stderr
    shown = [json.loads(line) for line in medasr("status", url=service.url).stdout.splitlines()]
    assert {each["status"] for each in shown} == {"succeeded"}
    assert medasr("delete", *(each["id"] for each in shown), url=service.url).returncode == 0
    assert medasr("status", url=service.url).stdout == ""
    gone = medasr("result", job, url=service.url)
    assert (gone.returncode, gone.stderr) == (2, "medasr: There is no such job.\n")


def test_the_name_of_a_file_and_the_key_go_nowhere_else(
    web: Web,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MEDASR_KEY", "the-key-of-one-ward")
    file = tmp_path / "jane-doe.wav"
    file.write_bytes(b"sound")
    web.answer = lambda handler: reply(handler, 202, b'{"id": "job_1"}')
    assert cli.main(["jobs", "submit", "--url", web.url, str(file)]) == 0
    assert capsys.readouterr().out == "job_1\n"
    [received] = web.received
    assert b"jane-doe" not in received.body
    assert b"sound" in received.body
    assert received.headers["authorization"] == "Bearer the-key-of-one-ward"
    assert received.headers["idempotency-key"]


def test_jobs_are_cancelled_by_their_ids(web: Web, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    web.answer = lambda handler: reply(handler, 200, b'{"status": "cancelled"}')
    assert cli.main(["jobs", "cancel", "--url", web.url, "job_1", "job_2"]) == 0
    assert capsys.readouterr().out == 2 * '{"status": "cancelled"}\n'
    assert [each.path for each in web.received] == [f"/v1/jobs/job_{number}/cancel" for number in (1, 2)]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"error": {"message": "There is no such route."}}', "MEDASR_JOBS=on"),
        (401, b'{"error": {"message": "The API key is missing."}}', "The API key is missing."),
        (502, b"<html>bad gateway</html>", "The service answers 502."),
    ],
)
def test_what_a_service_refuses_is_one_line(
    web: Web,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: bytes,
    said: str,
) -> None:
    web.answer = lambda handler: reply(handler, status, body)
    assert cli.main(["jobs", "status", "--url", web.url]) == 2
    assert said in capsys.readouterr().err


def test_no_service_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs", "status", "--url", "http://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err.startswith("medasr: No service can be reached at http://127.0.0.1:9")
