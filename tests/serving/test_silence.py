"""Nothing phones home: each way to start is watched by the kernel's account of connections and look-ups."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from medasr_service.model.checkpoint import DEMO_FOLDER
from tests.conftest import CLIPS, PATIENCE_S, ROOT, Service, require
from tests.jobs import kills

pytestmark = pytest.mark.e2e

SECRET = {"Authorization": "Bearer a-key-of-no-service"}
BIN = Path(sys.executable).parent
WATCH = [
    "strace",
    "--follow-forks",
    "--quiet=all",
    "--seccomp-bpf",
    "--trace=connect,sendto,sendmsg,sendmmsg",
]
ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
# Telemetry that is off in continuous integration, or where the environment says so, must be off anyway.
TOLD = (
    *("CI", "GITHUB_ACTIONS", "TF_BUILD", "BENTOML_DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY"),
    *("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "DO_NOT_TRACK"),
)


def outside(trace: Path) -> list[str]:
    """Calls that went, or tried to go, to another machine, or to a name server, wherever that is."""
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        for port, address in ADDRESS.findall(line):
            loopback = address.startswith("127.") or address == "::1"
            if port != "0" and (
                port == "53" or not loopback
            ):  # port 0: which way it would go, nothing is sent
                found.append(line)
    return found


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., list[str]]:
    """The command under watch; a skip where this machine lets nobody watch."""
    require("strace")
    if subprocess.run([*WATCH, "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace is not allowed")

    def command(*words: object) -> list[str]:
        return [*WATCH, "-o", str(tmp_path / "trace"), *map(str, words)]

    return command


@pytest.fixture
def untold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and an environment in which nobody has said that nothing is to be sent."""
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    return home


def left_behind(home: Path) -> list[Path]:
    """Where a library keeps who this machine is."""
    return [path for path in home.rglob("*") if "microsoft" in str(path.relative_to(home)).lower()]


def test_what_would_phone_home_is_seen(
    watched: Callable[..., list[str]], untold: Path, tmp_path: Path
) -> None:
    program = "import socket\ntry: socket.getaddrinfo('a.name.example', 80)\nexcept OSError: pass"
    subprocess.run(watched(sys.executable, "-c", program), check=True)
    resolved_elsewhere = not re.search(r"^nameserver", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    assert outside(tmp_path / "trace") or resolved_elsewhere
    program = (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(('192.0.2.1', 9))"
    )
    subprocess.run(watched(sys.executable, "-c", program), check=False, capture_output=True)
    assert outside(tmp_path / "trace")


SERVING: dict[str, list[str | Path]] = {
    "bentoml": [BIN / "bentoml", "serve", "service:MedASR"],
    "bentoml --debug": [BIN / "bentoml", "serve", "--debug", "--host", "0.0.0.0", "service:MedASR"],
    "medasr serve": [BIN / "medasr", "serve"],
    "from Python": [sys.executable, "-c", "from medasr_service.serving.start import serve; serve()"],
}


@pytest.mark.parametrize("way", SERVING)
def test_the_service_starts_and_stops_in_silence(
    way: str,
    watched: Callable[..., list[str]],
    untold: Path,
    tmp_path: Path,
    start_service: Callable[..., Service],
) -> None:
    service = start_service(command=watched(*SERVING[way]))
    service.wait_until_ready()
    query = {"intent": "transcription", "model": "nobodys-model", "prompt": "a-word-that-was-said"}
    assert httpx.get(f"{service.url}/v1/models", params=query, headers=SECRET).status_code == 200
    with connect(f"{service.url.replace('http', 'ws')}/v1/realtime?{urlencode(query)}") as socket:
        assert "nobodys-model" in str(socket.recv())
    [supervisor] = psutil.Process(service.process.pid).children()
    supervisor.send_signal(signal.SIGTERM)
    service.process.wait(timeout=PATIENCE_S)
    log = service.log.read_text()
    assert ("everyone who reaches 0.0.0.0 is served" in log) is ("0.0.0.0" in SERVING[way])  # without a key
    assert "a-word-that-was-said" not in log
    assert "nobodys-model" not in log
    assert "a-key-of-no-service" not in log
    assert outside(tmp_path / "trace") == []
    assert left_behind(untold) == []


def test_a_service_with_jobs_is_silent_too(
    watched: Callable[..., list[str]],
    untold: Path,
    tmp_path: Path,
    start_service: Callable[..., Service],
) -> None:
    """The engine of jobs has a console elsewhere, which nothing is told."""
    service = start_service(command=watched(*SERVING["bentoml"]), **kills.settings(tmp_path / "jobs"))
    service.wait_until_ready()
    job = kills.submit(service, CLIPS[0].path.read_bytes())
    while kills.asked(service, job).json()["status"] != "succeeded":
        time.sleep(0.1)
    [supervisor] = psutil.Process(service.process.pid).children()
    supervisor.send_signal(signal.SIGTERM)
    service.process.wait(timeout=PATIENCE_S)
    assert outside(tmp_path / "trace") == []
    assert left_behind(untold) == []


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_the_command_line_works_in_silence_with_a_model_in_a_folder(
    engine: str, watched: Callable[..., list[str]], untold: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "our-model"
    shutil.copytree(DEMO_FOLDER, folder, ignore=shutil.ignore_patterns("clips"))
    environment = {**os.environ, "MEDASR_MODEL": str(folder), "MEDASR_ENGINE": engine}
    command = watched(BIN / "medasr", "transcribe", CLIPS[0].path)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert outside(tmp_path / "trace") == []
    assert left_behind(untold) == []
