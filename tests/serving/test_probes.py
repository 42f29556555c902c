"""Whether the service is ready: asked without a proxy, whatever the environment says."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from tests.conftest import ROOT

NOWHERE = {
    "http_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def of_image() -> list[str]:
    [check] = re.findall(r"^    CMD (\[.*)$", (ROOT / "deploy" / "Dockerfile.j2").read_text(), re.MULTILINE)
    return [str(part) for part in json.loads(check)]


def of_compose() -> list[str]:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    kind, *command = services["medasr"]["healthcheck"]["test"]
    assert kind == "CMD"
    return [str(part) for part in command]


def of_runner() -> list[str]:
    program = "import job; raise SystemExit(job.ask('http://127.0.0.1:8400/readyz')[0] != 200)"
    return ["python", "-c", program]


@pytest.fixture
def answering() -> Iterator[tuple[int, list[int]]]:
    """The port of a service, and what it answers."""
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/readyz"
            self.send_response(status[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, status
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("probe", [of_image, of_compose, of_runner])
def test_a_probe_goes_through_no_proxy(probe: object, answering: tuple[int, list[int]]) -> None:
    port, status = answering
    assert callable(probe)
    python, *rest = [part.replace("8400", str(port)) for part in probe()]
    assert python == "python"
    environment = {**os.environ, **NOWHERE, "PYTHONPATH": str(ROOT / ".github" / "scripts")}
    for status[0], ends in ((200, 0), (503, 1)):
        assert subprocess.run([sys.executable, *rest], env=environment).returncode == ends


def test_make_run_asks_through_no_proxy() -> None:
    script = (ROOT / "scripts" / "run.sh").read_text()
    asked = re.findall(r"^\s*(?:if|until) curl (.*)$", script, re.MULTILINE)
    assert len(asked) == 2
    assert all(each.startswith("--noproxy '*' ") for each in asked)
