"""Processes of the service that are killed, or hang: who is left serves on, and nobody stays behind."""

import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import CLIPS, PATIENCE_S, SAMPLE, SAMPLE_TEXT, Service, until

pytestmark = pytest.mark.e2e

ROUTE = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def mortal(start_service: Callable[..., Service]) -> Service:
    service = start_service()
    service.wait_until_ready()
    return service


def worker(service: Service, name: str) -> psutil.Process:
    [found] = [each for each in psutil.Process(service.process.pid).children() if name in each.cmdline()]
    return found


def text(service: Service) -> str:
    with SAMPLE.open("rb") as file:
        fields = {"formatting": "raw", "response_format": "text"}
        answer = httpx.post(service.url + ROUTE, files={"file": file}, data=fields, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return answer.text.strip()


def works(model: psutil.Process, since_s: float) -> bool:
    """Counted in its own time: on a busy machine it has little of it, on a fast one it is soon through."""
    return spent_s(model) > since_s + 0.05


def spent_s(model: psutil.Process) -> float:
    times = model.cpu_times()
    return times.user + times.system


def health(service: Service) -> tuple[int, str]:
    with suppress(httpx.TransportError):
        answer = httpx.get(f"{service.url}/health", timeout=PATIENCE_S)
        return answer.status_code, answer.json()["status"]
    return 0, "away"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_model_that_is_killed_or_hangs_costs_those_who_wait_nothing_but_time(
    mortal: Service, number: signal.Signals
) -> None:
    model = worker(mortal, "medasr-model")
    before_s = spent_s(model)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(text, mortal) for _ in range(4)]
        until(lambda: works(model, before_s))
        mortal.process.send_signal(signal.SIGSTOP)  # the supervisor: no new model before all this is seen
        model.send_signal(number)
        until(lambda: health(mortal) == (503, "restarting"))
        assert httpx.get(f"{mortal.url}/readyz", timeout=PATIENCE_S).status_code == 503
        with CLIPS[0].path.open("rb") as file:
            refused = httpx.post(mortal.url + ROUTE, files={"file": file}, timeout=PATIENCE_S)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert int(refused.headers["retry-after"]) >= 1
        mortal.process.send_signal(signal.SIGCONT)
        assert [each.result() for each in waiting] == [SAMPLE_TEXT] * 4
    assert worker(mortal, "medasr-model").pid != model.pid
    assert health(mortal) == (200, "healthy")
    assert "Traceback" not in mortal.log.read_text()


def test_one_worker_of_several_that_dies_or_hangs_is_missed_by_nobody(
    start_service: Callable[..., Service],
) -> None:
    """The other one takes its windows; all the while the service is ready."""
    service = start_service(MEDASR_WORKERS="2")
    service.wait_until_ready()
    until(lambda: "worker 2 of the model runs" in service.log.read_text())
    seen: list[tuple[int, str]] = []
    for number, name in ((signal.SIGKILL, "medasr-model"), (signal.SIGSTOP, "medasr-model-2")):
        model = worker(service, name)
        before_s = spent_s(model)
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(text, service) for _ in range(4)]
            until(lambda: works(model, before_s))  # noqa: B023
            model.send_signal(number)
            while not all(each.done() for each in waiting):
                seen.append(health(service))
            assert [each.result() for each in waiting] == [SAMPLE_TEXT] * 4
        until(lambda: worker_or_none(service, name) not in (None, model))  # noqa: B023
    assert set(seen) == {(200, "healthy")}
    assert "Traceback" not in service.log.read_text()


def worker_or_none(service: Service, name: str) -> psutil.Process | None:
    with suppress(psutil.Error, ValueError):
        return worker(service, name)
    return None


def test_bentomls_own_number_of_workers_is_refused_in_one_line(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    config = tmp_path / "bentoml.yaml"
    config.write_text("services:\n  medasr-model:\n    workers: 2\n")
    service = start_service(BENTOML_CONFIG=str(config))
    assert service.process.wait(PATIENCE_S) == 1
    lines = [line for line in service.log.read_text().splitlines() if line.startswith("medasr: ")]
    assert len(lines) == 1
    assert "set MEDASR_WORKERS instead" in lines[0]
    assert "Traceback" not in service.log.read_text()


def test_an_entry_that_is_killed_is_started_again(mortal: Service) -> None:
    entry = worker(mortal, "medasr")
    entry.kill()
    until(lambda: health(mortal) == (200, "healthy"))
    assert text(mortal) == SAMPLE_TEXT
    assert worker(mortal, "medasr").pid != entry.pid


def test_nobody_outlives_the_supervisor_or_holds_its_port(mortal: Service) -> None:
    """The last test of this file."""
    children = psutil.Process(mortal.process.pid).children(recursive=True)
    assert len(children) >= 2
    mortal.process.kill()
    mortal.process.wait()
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
    with socket.socket() as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", mortal.port))
