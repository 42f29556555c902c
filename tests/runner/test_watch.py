"""The watch of the inference runner: what it mends, when it hands over, and what is left."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from tests.conftest import PATIENCE_S
from tests.runner.runner import KEY, Runner, tunnel_token
from tests.runner.test_steps import error_of


@pytest.fixture
def serving(runner: Runner) -> Runner:
    assert runner.step("container").returncode == 0
    assert runner.step("tunnel").returncode == 0
    return runner


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def slow_request(runner: Runner, statuses: list[int]) -> threading.Thread:
    """A request that is under way when the runner leaves."""

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", runner.port, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {KEY}"}
        connection.request("POST", "/v1/audio/transcriptions", body=b"slow", headers=headers)
        statuses.append(connection.getresponse().status)
        connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_at_its_time_the_run_hands_over_and_finishes_what_is_under_way(serving: Runner) -> None:
    statuses: list[int] = []
    request = slow_request(serving, statuses)
    wait_until(lambda: "slow request begun" in serving.events)
    answer = serving.step("watch", HAND_OVER_S="0.1", RUNNER="arm64", REVISION="main")
    request.join()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert statuses == [200]
    assert serving.github.dispatches == [
        {
            "event_type": "restart-medasr",
            "client_payload": {"runner": "arm64", "model": "google/medasr", "revision": "main"},
        }
    ]
    order = ["tunnel left", "service told to leave", "slow request finished", "service left"]
    assert [event for event in serving.events if event in order] == order
    assert serving.left == []
    assert "a successor serves: this run leaves" in serving.summary
    assert "nothing of this run is running" in serving.summary


def test_the_time_of_the_job_counts_from_its_first_step(serving: Runner) -> None:
    """A long set-up leaves no less time for the hand-over."""
    assert serving.step("check").returncode == 0
    begun = serving.folder / "medasr" / "begun"
    assert 0 < time.monotonic() - float(begun.read_text()) < 60
    begun.write_text(str(time.monotonic() - 3_600))
    assert serving.step("watch", HAND_OVER_S="3590").returncode == 0
    assert len(serving.github.dispatches) == 1


def test_it_serves_until_the_successor_does(serving: Runner) -> None:
    serving.github.asked_before_it_serves = 10_000
    watch = serving.begin("watch", HAND_OVER_S="0.1")
    wait_until(lambda: serving.github.asked_before_it_serves < 9_995)
    assert "tunnel left" not in serving.events
    assert serving.step("check").returncode == 0
    assert watch.poll() is None
    serving.github.watching.add(8)
    assert watch.wait(timeout=PATIENCE_S) == 0
    watch.communicate()
    assert len(serving.github.dispatches) == 1
    assert serving.left == []


def test_a_run_that_somebody_started_by_hand_takes_over(serving: Runner) -> None:
    serving.github.runs.append({"id": 9, "run_number": 9})
    serving.github.watching.add(9)
    assert serving.step("watch").returncode == 0
    assert serving.github.dispatches == []
    assert serving.left == []


def test_an_older_run_is_no_successor(serving: Runner) -> None:
    serving.github.runs.append({"id": 5, "run_number": 5})
    serving.github.watching.add(5)
    watch = serving.begin("watch")
    wait_until(lambda: serving.github.looks > 5)
    assert watch.poll() is None
    watch.kill()
    watch.communicate()


def test_a_successor_that_does_not_come_is_called_again_and_then_missed(serving: Runner) -> None:
    serving.github.answers = False
    answer = serving.step("watch", HAND_OVER_S="0", SUCCESSOR_TIMEOUT_S="0.2", SUCCESSOR_CALLS="2")
    assert "no successor came" in error_of(answer, serving)
    assert len(serving.github.dispatches) == 2


def test_a_refused_dispatch_is_told(serving: Runner) -> None:
    serving.github.dispatch_status = 403
    answer = serving.step("watch", HAND_OVER_S="0", SUCCESSOR_TIMEOUT_S="0.1", SUCCESSOR_CALLS="1")
    assert answer.returncode == 1
    assert "repository_dispatch was answered with status 403" in serving.summary
    assert serving.left == []


def test_a_tunnel_that_dies_is_opened_again(serving: Runner) -> None:
    watch = serving.begin("watch", REPORT_S="0.2")
    os.kill(int((serving.folder / "medasr" / "cloudflared.pid").read_text()), signal.SIGKILL)
    wait_until(lambda: serving.events.count("tunnel opened") == 2)
    wait_until(lambda: "tunnel connected, opened again 1 times" in serving.summary)
    assert "memory 612.3MiB / 4GiB" in serving.summary
    serving.github.runs.append({"id": 8, "run_number": 8})
    assert watch.wait(timeout=PATIENCE_S) == 0
    watch.communicate()
    assert serving.left == []


def test_a_tunnel_that_stays_dead_ends_the_run(serving: Runner) -> None:
    os.kill(int((serving.folder / "medasr" / "cloudflared.pid").read_text()), signal.SIGKILL)
    assert "cloudflared is not installed" in error_of(
        serving.step("watch", CLOUDFLARED="no-such-program"), serving
    )


def test_a_tunnel_whose_token_is_revoked_meanwhile_ends_the_run(serving: Runner) -> None:
    os.kill(int((serving.folder / "medasr" / "cloudflared.pid").read_text()), signal.SIGKILL)
    revoked = {"CLOUDFLARE_TUNNEL_TOKEN": tunnel_token("expired")}
    answer = serving.step("watch", TUNNEL_ATTEMPTS="2", TUNNEL_TIMEOUT_S="1", **revoked)
    assert "it has expired, or was revoked" in error_of(answer, serving)


def test_a_service_that_dies_ends_the_run(serving: Runner) -> None:
    os.kill(int(_pid_of_the_service(serving)), signal.SIGKILL)
    assert "the service has ended" in error_of(serving.step("watch"), serving)


def _pid_of_the_service(runner: Runner) -> int:
    return next(
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "fake_service.py" in str(process.info["cmdline"])
        and process.name() != "sh"
        and process.environ().get("FAKES") == str(runner.folder)
    )
