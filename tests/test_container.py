"""The image as it is deployed: hardened, limited, offline; and how it ends."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import yaml

from medasr_service.version import VERSION
from tests.conftest import ROOT, SAMPLE, SAMPLE_TEXT, free_port

pytestmark = pytest.mark.container

IMAGE = "medasr-service:test"
DOCKERFILE = ROOT / "deploy" / "Dockerfile.j2"
BASE = os.environ.get("BASE") or re.findall("^ARG BASE=(.*)$", DOCKERFILE.read_text(), re.MULTILINE)[0]
HARDENED = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
RAW = {"formatting": "raw", "response_format": "text"}
READY_S, STOP_S = 120, 30
MAX_IMAGE_BYTES = 1.5e9
BENTOS: list[str] = []  # where the Bento of the image is


def _engine(names: tuple[str, ...] = ("docker", "podman")) -> str:
    """docker where its daemon runs, else podman; skips the tests where neither can have the base image."""
    for name in names:
        if not shutil.which(name) or subprocess.run([name, "info"], capture_output=True).returncode:
            continue
        if subprocess.run([name, "image", "inspect", BASE], capture_output=True).returncode:
            pull = subprocess.run([name, "pull", BASE], capture_output=True, text=True)
            if pull.returncode:
                pytest.skip(f"{name} has no {BASE} and cannot pull it")
        return name
    pytest.skip("no image builder that runs containers is here: not " + " or ".join(names))


@pytest.fixture(scope="module")
def engine() -> str:
    return _engine()


@pytest.fixture(scope="module")
def image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `make image` builds it."""
    BENTOS.append(str(tmp_path_factory.mktemp("bentoml")))
    variables = {"BENTOML_HOME": BENTOS[0], "IMAGE": IMAGE, "BUILDER": engine}
    for script in ("bento.sh", "image.sh"):
        command = [ROOT / "scripts" / script]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return IMAGE


@pytest.fixture(scope="module")
def jobs_image(engine: str, image: str) -> str:
    """As `make jobs-image` builds it, of the same Bento."""
    name = f"{image}-jobs"
    variables = {"BENTOML_HOME": BENTOS[0], "IMAGE": name, "BUILDER": engine, "WITH_JOBS": "1"}
    command = [ROOT / "scripts" / "image.sh"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return name


class Container:
    """The service in a container with the host's network, on a port of its own."""

    def __init__(
        self,
        engine: str,
        image: str,
        *options: str,
        network: str = "host",
        tmp: str = "1g",
        command: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.engine = engine
        port = ("--env", f"MEDASR_PORT={self.port}")
        hardened = (*HARDENED, "--tmpfs", f"/tmp:size={tmp}")
        self.id = self.call(
            "run", "--detach", "--network", network, *hardened, *port, *options, image, *command
        ).strip()

    def call(self, *arguments: str, data: bytes | None = None) -> str:
        """What the container engine answers."""
        done = subprocess.run([self.engine, *arguments], input=data, capture_output=True, cwd="/tmp")
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def inside(self, *command: str, data: bytes | None = None) -> str:
        return self.call("exec", "--interactive", self.id, *command, data=data)

    @property
    def log(self) -> str:
        done = subprocess.run([self.engine, "logs", self.id], capture_output=True, text=True)
        return done.stdout + done.stderr

    @property
    def state(self) -> tuple[bool, int]:
        """Whether it runs, and the exit status of one that does not."""
        state = json.loads(self.call("inspect", self.id))[0]["State"]
        return state["Running"], state["ExitCode"]

    def wait_for_exit(self, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            running, status = self.state
            if not running:
                return status
            time.sleep(0.2)
        raise TimeoutError(self.log)

    def wait_until_ready(self, probe: Callable[[], bool] | None = None) -> None:
        probe = probe or self._is_ready
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self.state[0], self.log
            if probe():
                return
            time.sleep(0.2)
        raise TimeoutError(self.log)

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        return False

    def transcribe(self, path: Path) -> httpx.Response:
        with path.open("rb") as file:
            route = f"{self.url}/v1/audio/transcriptions"
            return httpx.post(route, files={"file": file}, data=RAW, timeout=120)


@pytest.fixture(scope="module")
def start(engine: str, image: str) -> Iterator[Callable[..., Container]]:
    """Starts containers that are removed at the end."""
    started: list[Container] = []

    def run(*options: str, **arguments: Any) -> Container:
        started.append(Container(engine, image, *options, **arguments))
        return started[-1]

    yield run
    for container in reversed(started):  # one may live in the network of one before it
        subprocess.run([engine, "rm", "--force", container.id], capture_output=True)


@pytest.fixture(scope="module")
def container(start: Callable[..., Container]) -> Container:
    """One with the memory that is promised, ready."""
    container = start("--memory", "4g", "--memory-swap", "4g")
    container.wait_until_ready()
    return container


def test_the_sample_has_its_text(container: Container) -> None:
    response = container.transcribe(SAMPLE)
    assert response.status_code == 200, response.text
    assert response.text.strip() == SAMPLE_TEXT


def test_nobody_in_it_is_root(container: Container) -> None:
    status = container.inside("cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_it_says_of_what_it_was_built(container: Container, image: str) -> None:
    """As OCI names it. Where it was built outside a clone, revision and source are empty."""
    labels = json.loads(container.call("image", "inspect", image))[0]["Labels"]
    kept = {name.rpartition(".")[2]: value for name, value in labels.items() if "opencontainers" in name}
    assert kept["version"] == VERSION
    assert kept["licenses"] == "Apache-2.0"
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert kept["revision"].removesuffix("-dirty") == git.stdout.strip()
    assert "@" not in kept["source"]


def test_its_memory_is_limited(container: Container) -> None:
    program = """
from pathlib import Path
v2, v1 = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
print((v2 if v2.exists() else v1).read_text())
"""
    assert int(container.inside("python", "-c", program)) == 4 * 1024**3


def test_its_health_check_passes_and_fails(container: Container, engine: str, image: str) -> None:
    config = json.loads(container.call("image", "inspect", image))[0]
    check = (config.get("Healthcheck") or config["Config"]["Healthcheck"])["Test"]
    assert check[0] == "CMD"
    container.inside(*check[1:])
    elsewhere = ["exec", "--env", "MEDASR_PORT=1", container.id, *check[1:]]
    assert subprocess.run([engine, *elsewhere], capture_output=True).returncode == 1


def test_it_is_small_and_without_torch(container: Container, image: str) -> None:
    assert int(json.loads(container.call("image", "inspect", image))[0]["Size"]) < MAX_IMAGE_BYTES
    found = container.inside(
        "python", "-c", "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('transformers'))"
    )
    assert found.split() == ["None", "None"]
    weights = container.inside("find", "/home", "/app", "/models", "-name", "*.safetensors")
    assert [Path(line).parent.name for line in weights.splitlines()] == ["demo_model"]


def test_it_serves_without_a_network_and_tries_to_reach_none(
    start: Callable[..., Container], tmp_path: Path
) -> None:
    """The kernel counts what finds no way to another machine or name server: at start, work and end."""
    program = """
import sys, urllib.request as u
b = b"--b\\r\\nContent-Disposition: form-data; name="
body = b + b'"formatting"\\r\\n\\r\\nraw\\r\\n' + b + b'"response_format"\\r\\n\\r\\ntext\\r\\n'
body += b + b'"file"; filename="a.wav"\\r\\n\\r\\n' + sys.stdin.buffer.read() + b"\\r\\n--b--\\r\\n"
kind = {"Content-Type": "multipart/form-data; boundary=b"}
print(u.urlopen(u.Request(sys.argv[1] + "/v1/audio/transcriptions", body, kind)).read().decode())
"""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 192.0.2.53\n")  # of no machine
    quiet = ("--volume", f"{resolver}:/etc/resolv.conf:ro")
    alone = start("--memory", "4g", *quiet, network="none")
    ready = ["import sys, urllib.request as u; u.urlopen(sys.argv[1] + '/readyz')", alone.url]
    probe = [alone.engine, "exec", alone.id, "python", "-c", *ready]
    alone.wait_until_ready(lambda: subprocess.run(probe, capture_output=True).returncode == 0)
    text = alone.inside("python", "-c", program, alone.url, data=SAMPLE.read_bytes())
    assert text.strip() == SAMPLE_TEXT
    command = ["medasr", "transcribe", "-", "--formatting", "raw"]
    assert alone.inside(*command, data=SAMPLE.read_bytes()).strip() == SAMPLE_TEXT
    idle = ("-c", "import time; time.sleep(600)")
    watcher = start(*quiet, "--entrypoint", "python", network=f"container:{alone.id}", command=idle)
    alone.call("stop", "--time", str(STOP_S), alone.id)
    assert _without_a_way_out(watcher) == 0
    look_up = "import socket\ntry: socket.getaddrinfo('a.name.example', 80)\nexcept OSError: pass"
    watcher.inside("python", "-c", look_up)
    assert _without_a_way_out(watcher) > 0


def _without_a_way_out(container: Container) -> int:
    """In the network of this container, since it began."""
    names, counts = (
        line.split()
        for line in container.inside("cat", "/proc/net/snmp").splitlines()
        if line.startswith("Ip:")
    )
    found = int(dict(zip(names, counts, strict=True))["OutNoRoutes"])
    sixth = container.inside(
        "python", "-c", "import pathlib; print(pathlib.Path('/proc/net/snmp6').read_text())"
    )
    return found + sum(
        int(line.split()[1]) for line in sixth.splitlines() if line.startswith("Ip6OutNoRoutes")
    )


def test_a_full_disk_refuses_an_upload_and_serves_on(start: Callable[..., Container], tmp_path: Path) -> None:
    """Of 128 MiB 64 are kept free: an upload of 100 MiB finds no room, one of 20 MiB does."""
    container = start("--memory", "4g", tmp="128m")
    container.wait_until_ready()
    assert "smaller than max_upload_mb" in container.log
    soundfile.write(tmp_path / "large.wav", np.zeros(50 << 20, np.int16), 48_000)
    refused = container.transcribe(tmp_path / "large.wav")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_room")
    assert int(refused.headers["retry-after"]) >= 1
    soundfile.write(tmp_path / "fits.wav", np.zeros(10 << 20, np.int16), 48_000)
    assert container.transcribe(tmp_path / "fits.wav").status_code == 200
    assert container.transcribe(SAMPLE).text.strip() == SAMPLE_TEXT
    assert container.state[0]


def test_too_little_memory_is_a_death_and_not_a_hang(start: Callable[..., Container]) -> None:
    starved = start("--memory", "256m", "--memory-swap", "256m")
    assert starved.wait_for_exit(timeout_s=600) != 0  # where all is slow, it starts in vain for long


def test_a_process_that_is_killed_is_started_again(start: Callable[..., Container]) -> None:
    """As it happens to the largest when memory runs out: others lose nothing but time."""
    container = start("--memory", "4g")
    container.wait_until_ready()
    program = """
import os, pathlib
for each in pathlib.Path("/proc").glob("[0-9]*"):
    if int(each.name) != os.getpid() and b"medasr-model" in (each / "cmdline").read_bytes():
        os.kill(int(each.name), 9)
"""
    container.inside("python", "-c", program)
    assert container.transcribe(SAMPLE).status_code in (200, 503)
    container.wait_until_ready()
    assert container.transcribe(SAMPLE).text.strip() == SAMPLE_TEXT


def test_a_stop_finishes_what_is_under_way(start: Callable[..., Container], tmp_path: Path) -> None:
    container = start("--memory", "4g")
    container.wait_until_ready()
    samples, rate = soundfile.read(SAMPLE, dtype="int16")
    soundfile.write(tmp_path / "long.flac", np.tile(samples, 5), rate)
    curl = ["curl", "--silent", "--fail", f"{container.url}/v1/audio/transcriptions"]
    form = ["--form", f"file=@{tmp_path / 'long.flac'}", "--form", "response_format=text"]
    with subprocess.Popen([*curl, *form], stdout=subprocess.PIPE, text=True) as request:
        _wait_for_a_window(container)
        began = time.monotonic()
        container.call("stop", "--time", str(STOP_S), container.id)
        assert time.monotonic() - began < STOP_S
        text, _ = request.communicate(timeout=STOP_S)
    assert request.returncode == 0, container.log
    assert text.count("amoxicillin") == 5
    assert container.state == (False, 0)


def _wait_for_a_window(container: Container) -> None:
    """Until the model works on a recording."""
    busy = re.compile(r'^bentoml_service_request_in_progress{endpoint="/infer".*} [1-9]', re.MULTILINE)
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if busy.search(httpx.get(f"{container.url}/metrics", timeout=5).text):
            return
        time.sleep(0.05)
    raise TimeoutError(container.log)


def test_an_image_without_the_model_says_what_to_do(start: Callable[..., Container]) -> None:
    container = start("--env", "MEDASR_MODEL=google/medasr", network="none")
    assert container.wait_for_exit(timeout_s=60) == 2
    [line] = [line for line in container.log.splitlines() if line.startswith("medasr:")]
    assert "no ONNX artefact of google/medasr" in line
    assert "`medasr export`" in line
    assert "Traceback" not in container.log


def test_no_folder_to_write_in_is_one_line(engine: str, image: str) -> None:
    """`--read-only` without `--tmpfs /tmp`; podman would give one by itself."""
    options = ["--read-only", *(["--read-only-tmpfs=false"] if engine == "podman" else [])]
    done = subprocess.run(
        [engine, "run", "--rm", "--network", "none", *options, image], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "medasr: BentoML can keep no files in /tmp/bentoml" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_image_with_jobs_does_them_and_the_other_says_what_it_lacks(
    start: Callable[..., Container], engine: str, jobs_image: str
) -> None:
    on = (
        "MEDASR_JOBS=on",
        "MEDASR_JOBS_DIR=/tmp/jobs",
        f"MEDASR_JOBS_KEY={base64.b64encode(bytes(32)).decode()}",
    )
    options = [word for each in on for word in ("--env", each)]
    without = start(*options)
    assert without.wait_for_exit(timeout_s=60) == 2
    assert "jobs need cryptography, dbos, standardwebhooks: pip install" in without.log
    container = Container(engine, jobs_image, *options)
    try:
        container.wait_until_ready()
        with SAMPLE.open("rb") as file:
            answer = httpx.post(f"{container.url}/v1/jobs", files={"file": file}, data=RAW, timeout=120)
        assert answer.status_code == 202, answer.text
        job = f"{container.url}{answer.headers['location']}"
        deadline = time.monotonic() + READY_S
        while (status := httpx.get(job, timeout=30).json()["status"]) in ("queued", "running"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert status == "succeeded"
        assert httpx.get(f"{job}/result", timeout=30).text.strip() == SAMPLE_TEXT
        container.inside("python", "-c", "import s3fs")
    finally:
        subprocess.run([engine, "rm", "--force", container.id], capture_output=True)


def test_a_port_in_use_is_one_line(start: Callable[..., Container], container: Container) -> None:
    second = start("--env", f"MEDASR_PORT={container.port}")
    assert second.wait_for_exit(timeout_s=60) == 2
    assert f"medasr: port {container.port} on 0.0.0.0 is in use" in second.log
    assert "Traceback" not in second.log


def test_every_way_to_deploy_limits_what_uploads_may_take() -> None:
    """A tmpfs without a size may take all of the container's memory."""
    folders = [yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["medasr"]["tmpfs"]]
    folders += [re.findall(r"--tmpfs ([^\s`]+)", (ROOT / "docs" / "deploy.md").read_text())]
    assert [set(each) for each in folders] == [{"/tmp:size=1g"}, {"/tmp:size=1g"}]
