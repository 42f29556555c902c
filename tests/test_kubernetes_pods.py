"""The rendered Deployment, run by `podman kube play`, no cluster: what clients behind a proxy see of it.

nginx stands for the ingress, a reload of it for endpoints that change, SIGTERM for the kubelet's.
"""

import copy
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import SAMPLE, SAMPLE_TEXT, free_port
from tests.test_container import READY_S, _engine
from tests.test_container import image as image  # the fixture
from tests.test_kubernetes import Manifest, of, render

pytestmark = pytest.mark.container

ROUTE = "/v1/audio/transcriptions"
CLIENTS = 4
RANDOM_UID = 1_000_680_000  # as OpenShift gives them
NGINX = """
daemon off; {user} error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream pods {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        {rules}
        location / {{
            proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def engine() -> str:
    if not shutil.which("nginx"):
        pytest.skip("nginx is not here")
    return _engine(("podman",))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """With the ingress: its rules are the proxy's."""
    return render(tmp_path_factory.mktemp("rendered"), overlay="demo", components=("ingress",))


class Pod:
    """One replica of the Deployment, on a port of its own: all pods have the network of the host."""

    def __init__(
        self, manifests: list[Manifest], image: str, folder: Path, name: str, **changes: Any
    ) -> None:
        self.port = free_port()
        self.name = f"{name}-pod-0"
        self.file = folder / f"{name}.yaml"
        deployment = copy.deepcopy(of(manifests, "Deployment"))
        deployment["metadata"]["name"] = name
        deployment["spec"]["replicas"] = 1
        spec = deployment["spec"]["template"]["spec"]
        spec["hostNetwork"] = True
        spec["securityContext"] |= changes
        [container] = spec["containers"]
        container["image"] = f"localhost/{image}"
        del container["ports"]
        for each in container["env"]:
            if each["name"] == "MEDASR_PORT":
                each["value"] = str(self.port)
        for each in (
            "startup",
            "readiness",
            "liveness",
        ):  # podman would ask by curl, which is not in the image
            del container[f"{each}Probe"]
        for each in (*container["volumeMounts"], *spec["volumes"]):  # an emptyDir of all pods with that name
            each["name"] = f"{name}-{each['name']}"
        self.file.write_text(yaml.safe_dump(deployment))
        self._podman("kube", "play", str(self.file))

    @property
    def container(self) -> str:
        return f"{self.name}-medasr"

    @property
    def ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status_code == 200
        return False

    def wait_until_ready(self) -> "Pod":
        deadline = time.monotonic() + READY_S
        while not self.ready:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)
        return self

    @property
    def log(self) -> str:
        done = subprocess.run(["podman", "logs", self.container], capture_output=True, text=True)
        return done.stdout + done.stderr

    def inside(self, *command: str) -> str:
        return self._podman("exec", self.container, *command)

    def kill(self) -> None:
        self._podman("kill", "--signal", "KILL", self.container)

    def leave(self) -> int:
        """As the kubelet has it: SIGTERM, and time to finish. The exit status."""
        self._podman("kill", "--signal", "TERM", self.container)
        return int(self._podman("wait", self.container))

    def remove(self) -> None:
        subprocess.run(["podman", "pod", "rm", "--force", "--time", "5", self.name], capture_output=True)
        volume = f"{self.name.removesuffix('-pod-0')}-tmp"
        subprocess.run(["podman", "volume", "rm", "--force", volume], capture_output=True)

    def _podman(self, *arguments: str) -> str:
        done = subprocess.run(["podman", *arguments], capture_output=True, text=True, cwd="/tmp")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def play(engine: str, image: str, manifests: list[Manifest], tmp_path: Path) -> Iterator[Callable[..., Pod]]:
    """Starts pods, which are removed at the end."""
    pods: list[Pod] = []

    def start(**changes: Any) -> Pod:
        name = f"medasr-{os.getpid()}-{len(pods)}"
        pods.append(Pod(manifests, image, tmp_path, name, **changes))
        return pods[-1]

    yield start
    for each in pods:
        each.remove()


class Proxy:
    """nginx, with the rules that the Ingress gives the controller."""

    def __init__(self, folder: Path, manifests: list[Manifest]) -> None:
        notes = of(manifests, "Ingress")["metadata"]["annotations"].items()
        rules = {name.rpartition("/")[2].replace("-", "_"): value for name, value in notes}
        rules["client_max_body_size"] = rules.pop("proxy_body_size")
        self._rules = " ".join(f"{name} {value};" for name, value in rules.items())
        self._folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._file = folder / "nginx.conf"

    def start(self, pods: list[Pod]) -> None:
        self._write(pods)
        self._process = subprocess.Popen(["nginx", "-c", self._file, "-p", self._folder])

    def send_to(self, pods: list[Pod]) -> None:
        """New requests, from now on; those under way stay where they are."""
        self._write(pods)
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _write(self, pods: list[Pod]) -> None:
        servers = " ".join(f"server 127.0.0.1:{pod.port} max_fails=1 fail_timeout=2s;" for pod in pods)
        user = "" if os.geteuid() else "user root;"  # whose folder it is
        text = NGINX.format(
            user=user, folder=self._folder, port=self.port, servers=servers, rules=self._rules
        )
        self._file.write_text(text)


@pytest.fixture
def proxy(engine: str, manifests: list[Manifest], tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path, manifests)
    yield proxy
    proxy.stop()


class Load:
    """Clients that send recordings one after the other; ``answers``: status and text of each."""

    def __init__(self, url: str) -> None:
        self._url, self._over = url, threading.Event()
        self.answers: list[tuple[int, str]] = []

    def __enter__(self) -> "Load":
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._clients: list[Future[None]] = [self._pool.submit(self._send) for _ in range(CLIENTS)]
        self.wait_for(CLIENTS)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for each in self._clients:
            each.result()

    def wait_for(self, more: int) -> None:
        """Until so many more have come: the pods work on others."""
        enough, deadline = len(self.answers) + more, time.monotonic() + READY_S
        while len(self.answers) < enough and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(self.answers) >= enough

    def _send(self) -> None:
        while not self._over.is_set():
            answer = transcribe(self._url)
            self.answers.append((answer.status_code, answer.text.strip()))


def transcribe(url: str) -> httpx.Response:
    with SAMPLE.open("rb") as file:
        fields = {"formatting": "raw", "response_format": "text"}
        return httpx.post(url + ROUTE, files={"file": file}, data=fields, timeout=READY_S)


def test_a_pod_is_confined_as_the_manifest_says(play: Callable[..., Pod]) -> None:
    """And serves with a uid that nobody has heard of, as on OpenShift."""
    pod = play(runAsUser=RANDOM_UID).wait_until_ready()
    status = dict(line.split(":\t", 1) for line in pod.inside("cat", "/proc/1/status").splitlines())
    assert set(status["Uid"].split()) == {str(RANDOM_UID)}
    assert int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    script = (
        "touch /x 2>/dev/null || touch /home/x 2>/dev/null || touch /models/x 2>/dev/null || echo read-only"
    )
    assert pod.inside("sh", "-c", script).strip() == "read-only"
    assert transcribe(f"http://127.0.0.1:{pod.port}").text.strip() == SAMPLE_TEXT
    assert "Traceback" not in pod.log


def test_a_pod_that_is_killed_under_load_costs_nobody_an_answer(
    play: Callable[..., Pod], proxy: Proxy
) -> None:
    """What it had is asked of the other one again."""
    pods = [play(), play()]
    proxy.start([each.wait_until_ready() for each in pods])
    with Load(proxy.url) as load:
        pods[0].kill()
        load.wait_for(2 * CLIENTS)
    assert set(load.answers) == {(200, SAMPLE_TEXT)}


def test_a_rollout_under_load_costs_nobody_an_answer(play: Callable[..., Pod], proxy: Proxy) -> None:
    """The new pod is ready before the old one leaves; that one finishes what it has, and ends with 0."""
    old = [play(), play()]
    proxy.start([each.wait_until_ready() for each in old])
    serving = list(old)
    with Load(proxy.url) as load:
        for leaving in old:
            serving.append(play().wait_until_ready())
            serving.remove(leaving)
            proxy.send_to(serving)  # the endpoints, while preStop waits
            load.wait_for(CLIENTS)
            assert leaving.leave() == 0, leaving.log
        load.wait_for(CLIENTS)
    assert set(load.answers) == {(200, SAMPLE_TEXT)}
