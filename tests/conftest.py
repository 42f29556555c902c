"""What the tests share: the demo model loaded once, the app without BentoML, and the real service."""

import asyncio
import ctypes
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from medasr_service.api.app import create_app
from medasr_service.api.served import Served
from medasr_service.audio.processes import Decoders
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER, Checkpoint
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Options, Transcriber
from tests.stores import postgres, s3, s3_variables, sftp, sftp_server  # noqa: F401  # fixtures

NO_FLASHLIGHT = "flashlight-text is not installed: it has wheels for Python 3.11 and 3.12 only"
try:
    import flashlight.lib.text.decoder  # noqa: F401
except ImportError:
    HAS_FLASHLIGHT = False
else:
    HAS_FLASHLIGHT = True
needs_flashlight = pytest.mark.skipif(not HAS_FLASHLIGHT, reason=NO_FLASHLIGHT)  # modules: importorskip

hypothesis.settings.register_profile("facts", deadline=None)  # a busy machine is no failed property
hypothesis.settings.load_profile("facts")

# Debian packages, for pip brings none of them: a test that needs one is skipped where it is missing.
PROGRAMS = {
    "ffmpeg": ("ffmpeg",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "openssl": ("openssl",),
    "postgresql": ("pg_ctl", *(f"/usr/lib/postgresql/{version}/bin/pg_ctl" for version in (18, 17, 16, 15))),
    "openssh-server": ("sshd", "/usr/sbin/sshd"),
    "strace": ("strace",),
    "prometheus": ("prometheus",),
}
LIBRARIES = {"espeak-ng": "libespeak-ng.so.1"}


@cache
def found(package: str) -> str | None:
    """The path of its program, or the name of its library; None where it is not installed."""
    if package in PROGRAMS:
        return next(filter(None, map(shutil.which, PROGRAMS[package])), None)
    try:
        ctypes.CDLL(LIBRARIES[package])
    except OSError:
        return None
    return LIBRARIES[package]


def require(package: str) -> str:
    """As ``found``; where it is missing, the test is skipped."""
    return found(package) or pytest.skip(f"{package} is not installed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        require(*mark.args)


ROOT = Path(__file__).parent.parent
os.environ.setdefault("MEDASR_CACHE_DIR", str(ROOT / "build" / "cache"))
PATIENCE_S = 300  # for what comes in a moment, on a machine that is busy with other things
SAMPLE = DEMO_FOLDER / "sample.wav"
SAMPLE_TEXT = (DEMO_FOLDER / "sample.txt").read_text().strip()
SAMPLE_S = soundfile.info(SAMPLE).duration


@dataclass(frozen=True)
class Clip:
    """A bundled recording and the text as spoken, in MedASR's notation."""

    path: Path
    text: str

    @property
    def waveform(self) -> Waveform:
        samples: Waveform = soundfile.read(self.path, dtype="float32")[0]
        return samples


CLIPS = [
    Clip(DEMO_FOLDER / "clips" / line["audio"], line["text"])
    for line in map(json.loads, (DEMO_FOLDER / "clips" / "manifest.jsonl").read_text().splitlines())
]


def in_noise(waveform: Waveform, snr_db: float) -> bytes:
    """A WAV with white noise, in which some words are doubtful."""
    noise = np.random.default_rng(1).normal(0, waveform.std() * 10 ** (-snr_db / 20), len(waveform))
    file = io.BytesIO()
    soundfile.write(file, waveform + noise, 16_000, format="WAV")
    return file.getvalue()


def said_by(logger: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What one logger said: others of the process, threads of earlier tests too, may speak at any moment."""
    return [record.getMessage() for record in caplog.records if record.name == logger]


@pytest.fixture(scope="session")
def demo() -> Checkpoint:
    return checkpoint.resolve(Settings())


@pytest.fixture(scope="session")
def engine(demo: Checkpoint) -> TorchCTC:
    return TorchCTC(demo)


@pytest.fixture(scope="session")
def geometry(demo: Checkpoint) -> FrameGeometry:
    return demo.geometry


@pytest.fixture(scope="session")
def vocabulary(demo: Checkpoint) -> Vocabulary:
    return Vocabulary.load(demo.folder)


@pytest.fixture(scope="session")
def decoders() -> Iterator[Decoders]:
    decoders = Decoders()
    yield decoders
    decoders.close()


@pytest.fixture(scope="session")
def make_transcriber(demo: Checkpoint, engine: TorchCTC, decoders: Decoders) -> Callable[..., Transcriber]:
    """A Transcriber over the demo model in this process; keywords are settings."""

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        return await asyncio.to_thread(engine.infer, waveforms)

    def make(**settings: Any) -> Transcriber:
        return Transcriber.of(demo, infer, Settings(**settings), decoders)

    return make


@pytest.fixture(scope="session")
def options() -> Options:
    return Options.defaults(Settings())


@pytest.fixture(scope="session")
def make_client(demo: Checkpoint, make_transcriber: Callable[..., Transcriber]) -> Callable[..., TestClient]:
    """The mounted application, without BentoML; keywords are settings."""

    def make(**settings: Any) -> TestClient:
        configured = Settings(**settings)
        app = create_app(configured)
        served = Served(
            demo,
            make_transcriber(**settings),
            configured.max_concurrent_requests,
            aliases=tuple(configured.model_aliases),
        )
        served.engine = "test"
        app.state.served = served
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture(scope="session")
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


def http_scope(
    path: str = "/v1/audio/transcriptions", headers: Iterable[tuple[bytes, bytes]] = (), method: str = "POST"
) -> dict[str, Any]:
    """A request as a server hands it to an ASGI application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("test", 1),
        "server": ("test", 80),
    }


def free_port() -> int:
    """A port outside the range from which the system serves others meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(fact: Callable[[], bool]) -> None:
    """Asks again until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Service:
    """`bentoml serve` as users start it, or another ``command``, in a process group of its own."""

    def __init__(
        self,
        log: Path,
        target: str = "service:MedASR",
        folder: Path = ROOT,
        command: Sequence[str | Path] = (),
        **variables: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        # BentoML keeps metrics under its home, and a service that starts there empties the folder of another
        home = {"BENTOML_HOME": str(log.parent / "bentoml")}
        environment = {**os.environ, **home, "MEDASR_PORT": str(self.port), **variables}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command or [Path(sys.executable).with_name("bentoml"), "serve", target],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text())

    def wait_until_said(self, *words: str) -> None:
        """Until the log holds all of them: a line is written behind its answer."""
        deadline = time.monotonic() + PATIENCE_S
        while missing := [each for each in words if each not in self.log.read_text()]:
            if time.monotonic() > deadline:
                raise TimeoutError(missing)
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Starts services that are stopped at the end; further keywords are environment variables."""
    started: list[Service] = []

    def start(
        target: str = "service:MedASR",
        folder: Path = ROOT,
        command: Sequence[str | Path] = (),
        **variables: str,
    ) -> Service:
        log = tmp_path_factory.mktemp("service") / "log.txt"
        started.append(Service(log, target, folder, command, **variables))
        return started[-1]

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="session")
def service(start_service: Callable[..., Service]) -> Service:
    """The service with the demo model, ready."""
    service = start_service()
    service.wait_until_ready()
    return service


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
