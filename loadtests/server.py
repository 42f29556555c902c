"""A server that is started for a measurement, and stopped behind it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 600  # the first start may export the model


@dataclass(frozen=True)
class Server:
    """``ready_s``: from its start to its readiness."""

    url: str
    pid: int
    ready_s: float


@contextlib.contextmanager
def running(
    log: Path | None,
    port: int | None = None,
    variables: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
) -> Iterator[Server]:
    """The service, or the ``command`` that serves on ``port``, once it is ready; stopped at the end.

    ``variables`` are added to the environment; ``log`` takes what it prints (None: nobody does).
    """
    port = port or free_port()
    command = command or [str(Path(sys.executable).with_name("bentoml")), "serve", "service:MedASR"]
    environment = {**os.environ, "MEDASR_PORT": str(port), **(variables or {})}
    with (log or Path(os.devnull)).open("ab") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process)
        yield Server(url, process.pid, time.perf_counter() - began)
    finally:
        stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("the service did not start; its log says why")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"the service was not ready in {START_TIMEOUT_S} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
