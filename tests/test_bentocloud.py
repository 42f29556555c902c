"""deploy/bentocloud: what BentoML itself reads in it, and the Bento's service as it starts there."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import psutil
import pytest
import yaml
from bentoml._internal.bento.build_config import BentoBuildConfig, BentoPathSpec
from bentoml._internal.cloud import deployment
from bentoml._internal.cloud.schemas.schemasv2 import CreateDeploymentSchema
from bentoml._internal.utils.cattr import bentoml_cattr

from medasr_service.serving import secrets
from medasr_service.settings import Settings
from tests.conftest import PATIENCE_S, ROOT, SAMPLE, Service, free_port

FOLDER = ROOT / "deploy" / "bentocloud"
TARGET = "medasr_service.serving.as_one:MedASR"
BENTOML = Path(sys.executable).with_name("bentoml")
KEY = "a-key-0123456789abcdef"
BEARER = {"Authorization": f"Bearer {KEY}"}
ROUTE = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def wanted() -> dict[str, Any]:
    """The deployment as it is written."""
    return dict(yaml.safe_load((FOLDER / "deployment.yaml").read_text()))


@pytest.fixture(scope="module")
def service_config() -> dict[str, Any]:
    """Of the service in the Bento, as BentoML reads it."""
    module = TARGET.partition(":")[0]
    shown = f"import json; from {module} import MedASR as it; print(json.dumps([it.name, it.config]))"
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    name, config = json.loads(done.stdout)
    return {"name": name, **config}


@pytest.fixture(scope="module")
def build() -> BentoBuildConfig:
    return BentoBuildConfig.from_file(str(FOLDER / "bentofile.yaml"))


def test_bentoml_sends_the_deployment_as_it_is_written(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown names are left out in silence."""
    built = SimpleNamespace(tag=wanted["bento"], entry_service="medasr", envs=[])
    asked: list[str] = []

    def ensure_bento(*, bento: str, **_: Any) -> SimpleNamespace:
        asked.append(bento)
        return built

    monkeypatch.setattr(deployment, "ensure_bento", ensure_bento)
    client: Any = None  # nobody is asked
    parameters = deployment.DeploymentConfigParameters(config_file=str(FOLDER / "deployment.yaml"))
    parameters.verify(_client=client)
    assert asked == ["medasr-bentocloud:latest"]  # no folder that it would build by the bentofile of the root
    sent = bentoml_cattr.structure(parameters.get_config_dict(_client=client), CreateDeploymentSchema)
    del wanted["access_authorization"]  # the default, which is not written again
    assert bentoml_cattr.unstructure(sent) == wanted


def test_the_deployment_is_of_the_bento_and_its_service(
    wanted: dict[str, Any], build: BentoBuildConfig, service_config: dict[str, Any]
) -> None:
    assert wanted["bento"].split(":")[0] == build.name
    assert build.service == TARGET
    assert list(wanted["services"]) == [service_config["name"]]
    scaling = wanted["services"]["medasr"]["scaling"]
    assert 2 <= scaling["min_replicas"] <= scaling["max_replicas"]


def test_the_deployment_sets_what_there_is_and_no_secret(wanted: dict[str, Any]) -> None:
    variables = {each["name"]: each["value"] for each in wanted["envs"]}
    assert not variables.keys() & {*secrets.KEYS, *secrets.OF_THE_HUB}
    known = {f"MEDASR_{name.upper()}" for name in Settings.model_fields}
    assert variables.keys() <= known
    settings = Settings(**{name.removeprefix("MEDASR_").lower(): value for name, value in variables.items()})
    assert settings.spool_mb >= settings.max_upload_mb  # memory, never the disk of whoever has the machine
    assert settings.host == "127.0.0.1"


def test_the_service_is_started_once_and_nothing_waits_elsewhere(service_config: dict[str, Any]) -> None:
    assert service_config["workers"] == 1
    assert not service_config.get("replicate_process")
    assert service_config["traffic"]["external_queue"] is False
    assert service_config["traffic"]["timeout"] > Settings().request_timeout_s
    assert service_config["metrics"] == {"enabled": False}  # or they would be open
    assert service_config["logging"] == {"access": {"enabled": False}}


def test_the_bento_holds_what_the_other_one_does(build: BentoBuildConfig) -> None:
    """But for what only the other one's image is made of."""
    other = BentoBuildConfig.from_file(str(ROOT / "bentofile.yaml"))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    mine, others = (
        {file for file in tracked.stdout.splitlines() if specs.includes(file)}
        for each in (build, other)
        if (specs := BentoPathSpec(each.include or [], each.exclude or []))
    )
    assert others - mine == {
        *("service.py", "requirements-lock.txt", "requirements-lock-jobs.txt", "requirements-torch.txt"),
    }
    assert mine <= others
    assert build.python.requirements_txt == "requirements-lock.txt"
    assert build.python.lock_packages is False
    assert build.docker.dockerfile_template is None  # BentoML would fall back to a Bento of its first kind


@pytest.fixture(scope="module")
def proxied(start_service: Callable[..., Service]) -> Service:
    """As the image is started, on a port of BentoML's; the service itself is on another."""
    port = free_port()
    service = start_service(
        command=[BENTOML, "serve", TARGET, "--port", str(port)],
        MEDASR_API_KEYS=KEY,
        FORWARDED_ALLOW_IPS="192.0.2.1",
        BENTOML_CONFIG_OPTIONS="services.medasr.workers=1",  # said to the proxy, not to the service
    )
    service.url = f"http://127.0.0.1:{port}"
    service.wait_until_ready()
    return service


def transcribed(url: str, **fields: Any) -> httpx.Response:
    with SAMPLE.open("rb") as file:
        headers = {**BEARER, "X-Forwarded-For": "203.0.113.9"}
        return httpx.post(url + ROUTE, files={"file": file}, data=fields, headers=headers, timeout=PATIENCE_S)


@pytest.mark.e2e
def test_bentoml_s_proxy_changes_nothing(proxied: Service, service: Service) -> None:
    through, direct = transcribed(proxied.url), transcribed(service.url)
    assert through.status_code == 200
    assert through.json() == direct.json()
    streamed = transcribed(proxied.url, stream="true")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert len(events) > 2
    deltas = [each["delta"] for each in events if each["type"] == "transcript.text.delta"]
    assert "".join(deltas) == events[-1]["text"] == direct.json()["text"]


@pytest.mark.e2e
def test_an_upload_of_unknown_length_passes_the_proxy(proxied: Service) -> None:
    request = httpx.Request("POST", proxied.url, files={"file": SAMPLE.read_bytes()})
    whole, headers = request.read(), {**BEARER, "Content-Type": request.headers["Content-Type"]}
    parts = (whole[at : at + 100_000] for at in range(0, len(whole), 100_000))
    answer = httpx.post(proxied.url + ROUTE, content=parts, headers=headers, timeout=PATIENCE_S)
    assert answer.json() == transcribed(proxied.url).json()


@pytest.mark.e2e
def test_strangers_are_refused_behind_the_proxy_as_before_it(proxied: Service) -> None:
    sdk = openai.OpenAI(base_url=f"{proxied.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        sdk.audio.transcriptions.create(model="medasr-demo", file=b"\0" * 20_000_000)  # nobody reads it
    assert refused.value.code == "invalid_api_key"
    for path in ("/metrics", "/docs", "/openapi.json", "/v1/models"):  # none of BentoML's in their place
        assert httpx.get(proxied.url + path).status_code == 401
        assert httpx.get(proxied.url + path, headers=BEARER).status_code == 200


@pytest.mark.e2e
def test_without_a_key_nothing_starts_there(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MEDASR_API_KEYS"}
    environment["BENTOML_HOME"] = str(tmp_path)
    done = subprocess.run(
        [BENTOML, "serve", TARGET, "--port", str(free_port())],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "set MEDASR_API_KEYS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_on_sigterm_nothing_stays(proxied: Service) -> None:
    """The last here: it ends the service."""
    httpx.get(f"{proxied.url}/v1/models?of=whom")
    proxied.wait_until_said("GET /v1/models 401")
    processes = psutil.Process(proxied.process.pid).children(recursive=True)
    assert len(processes) >= 4  # BentoML's, the service's supervisor, its model, its entry
    proxied.process.send_signal(signal.SIGTERM)
    assert proxied.process.wait(timeout=PATIENCE_S) == 0
    assert not psutil.wait_procs(processes, timeout=PATIENCE_S)[1]
    log = proxied.log.read_text()
    assert "127.0.0.1 POST" in log
    for word in ("203.0.113.9", "of=whom", "amoxicillin", KEY, "Traceback", "before everything"):
        assert word not in log
