"""A service behind keys, as it is deployed: what is closed, and how it leaves."""

import os
import re
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
import httpx
import openai
import psutil
import pytest

from tests.conftest import CLIPS, PATIENCE_S, SAMPLE, SAMPLE_TEXT, Service

pytestmark = pytest.mark.e2e

SO_ACCEPTCON = 0x10000  # of /proc/net/unix: it listens
KEY = "a-key-0123456789abcdef"
BEARER = {"Authorization": f"Bearer {KEY}"}
ROUTE = "/v1/audio/transcriptions"
BOUNDARY = "a-boundary"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture(scope="module")
def guarded(start_service: Callable[..., Service]) -> Service:
    service = start_service(
        MEDASR_API_KEYS=f"another-0123456789abcdef,{KEY}",
        MEDASR_UPLOAD_IDLE_TIMEOUT_S="5",
        HF_TOKEN="hub-token-of-a-test",
        BENTOML_NO_UDS="1",  # not heeded: the model would listen on a port
    )
    service.wait_until_ready()
    return service


CLOSED = [
    "/docs",
    "/openapi.json",
    "/metrics",
    "/v1/models",
    "/transcribe",
    ROUTE,
    "/schema.json",
    "/nope",
]


@pytest.mark.parametrize("path", CLOSED)
def test_every_route_wants_a_key(guarded: Service, path: str) -> None:
    answer = httpx.get(guarded.url + path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(guarded.url + path, headers=BEARER).status_code != 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_a_probe_needs_no_key(guarded: Service, path: str) -> None:
    assert httpx.get(guarded.url + path).status_code == 200


@pytest.mark.parametrize("path", [ROUTE, "/transcribe"])
def test_an_upload_without_a_key_is_refused_before_it_is_read(guarded: Service, path: str) -> None:
    headers = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"{headers}Content-Length: 100000000\r\n\r\n".encode())
        answer = connection.makefile("rb").read()  # it is answered, and the connection closed
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_clients_bring_their_keys(guarded: Service) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="wrong", max_retries=0).models.list()
    sdk = openai.OpenAI(base_url=f"{guarded.url}/v1", api_key=KEY, max_retries=0)
    assert sdk.audio.transcriptions.create(model="medasr-demo", file=CLIPS[0].path).text
    with bentoml.SyncHTTPClient(guarded.url, token=KEY) as client:
        assert client.transcribe(audio=SAMPLE)["raw_text"] == SAMPLE_TEXT


def test_no_page_of_another_origin_may_read_an_answer(guarded: Service) -> None:
    answer = httpx.get(f"{guarded.url}/health", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in answer.headers


def test_every_socket_that_listens_is_known(guarded: Service) -> None:
    """The port, and the file over which the model's process is asked: in a folder of this user's alone."""
    pids = {guarded.process.pid, *_children(guarded.process.pid)}
    assert len(pids) >= 3
    assert {_port(each) for pid in pids for each in _listening(pid, "inet")} == {("127.0.0.1", guarded.port)}
    [file] = {Path(str(each.laddr)) for pid in pids for each in _listening(pid, "unix")}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.parent.stat().st_uid == os.getuid()


def _listening(pid: int, kind: str) -> list[Any]:
    found = psutil.Process(pid).net_connections(kind)
    if kind == "inet":
        return [each for each in found if each.status == psutil.CONN_LISTEN]
    return [each for each in found if each.laddr and _accepts(str(each.laddr))]


def _accepts(path: str) -> bool:
    """Whether it is a name at which somebody listens: what was accepted there bears the same one."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return any(line[-1] == path and int(line[3], 16) & SO_ACCEPTCON for line in lines)


def _port(connection: Any) -> tuple[str, int]:
    return connection.laddr.ip, connection.laddr.port


def test_no_process_shows_a_key_in_its_environment(guarded: Service) -> None:
    """The model's never had one; the others have read them, and wiped them out."""
    for pid in (guarded.process.pid, *_children(guarded.process.pid)):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"PATH=" in environment
        assert KEY.encode() not in environment
        assert b"hub-token-of-a-test" not in environment


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _under_way(service: Service) -> bool:
    metrics = httpx.get(f"{service.url}/metrics", headers=BEARER).text
    count = re.findall(rf'request_in_progress\{{[^}}]*endpoint="{ROUTE}"[^}}]*\}} (\S+)', metrics)
    return sum(map(float, count)) > 0


def test_the_log_holds_no_key(guarded: Service) -> None:
    httpx.get(f"{guarded.url}/v1/models", headers=BEARER)
    assert KEY not in guarded.log.read_text()
    assert "another-0123456789abcdef" not in guarded.log.read_text()


def test_sigterm_finishes_what_is_under_way_and_exits_0(guarded: Service) -> None:
    """The last test of this file: half an upload is there, the rest comes after the signal."""
    clip = CLIPS[0].path.read_bytes()
    body = HEAD + clip + TAIL
    pids = _children(guarded.process.pid)
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body[: len(body) // 2]
        )
        while not _under_way(guarded):
            pass
        guarded.process.send_signal(signal.SIGTERM)
        while httpx.get(f"{guarded.url}/readyz", timeout=PATIENCE_S).status_code == 200:
            pass
        with CLIPS[1].path.open("rb") as file:
            refused = httpx.post(
                guarded.url + ROUTE, files={"file": file}, headers=BEARER, timeout=PATIENCE_S
            )
        assert guarded.process.poll() is None
        connection.sendall(body[len(body) // 2 :])
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"text":"' in answer
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "draining"
    assert guarded.process.wait(timeout=PATIENCE_S) == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert "failed" not in guarded.log.read_text()
