"""What an operator starts from: rules that promtool proves, queries of series that there are, real parts."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prometheus_client import Histogram

from tests.conftest import CLIPS, PATIENCE_S, ROOT, SAMPLE, Service, free_port, require
from tests.telemetry.conftest import Seen
from tests.telemetry.test_metrics import CATALOGUE, name_of

DEPLOYED = ROOT / "deploy" / "observability"
RULES = yaml.safe_load((DEPLOYED / "rules.yml").read_text())["groups"]
ALERTS = [rule for group in RULES for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
DASHBOARD = json.loads((DEPLOYED / "grafana" / "dashboards" / "medasr.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
SHOWN = {
    name_of(each) + suffix
    for each in CATALOGUE
    for suffix in (("_bucket", "_sum", "_count") if isinstance(each, Histogram) else ("",))
}
SHORT = min((clip.path for clip in CLIPS), key=lambda path: path.stat().st_size)
SERIES = re.compile(r"\b(?:instance:)?medasr_[a-z0-9_:]+")


def series_in(expression: str) -> set[str]:
    return set(SERIES.findall(re.sub(r'"[^"]*"', "", expression)))


def test_rules_and_dashboard_ask_for_nothing_that_is_not_there() -> None:
    asked = [*QUERIES, *(rule["expr"] for group in RULES for rule in group["rules"])]
    assert not {name for each in asked for name in series_in(each)} - SHOWN - RECORDED
    table = (ROOT / "docs" / "metrics.md").read_text()
    assert (
        not {name for line in table.splitlines() for name in series_in(line)}
        - SHOWN
        - {name_of(each) for each in CATALOGUE}
    )


def test_each_alert_is_in_the_runbook_and_in_the_tests_of_the_rules() -> None:
    chapters = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    names = [alert["alert"] for alert in ALERTS]
    assert sorted(names) == sorted(chapters)
    proven = (DEPLOYED / "rules_test.yml").read_text()
    assert not [name for name in names if name not in proven]
    for alert in ALERTS:
        assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"


def test_compose_mounts_what_is_there() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["observability"]
        mounted = [each.split(":")[0] for each in services[name]["volumes"] if each.startswith("./")]
        assert mounted
        assert all((ROOT / each).exists() for each in mounted)


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize(
    "check", [["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]]
)
def test_promtool_is_content(check: list[str]) -> None:
    done = subprocess.run(["promtool", *check], cwd=DEPLOYED, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """Debian's, with our rules in fast time: what takes a minute there takes a second here."""

    def __init__(self, folder: Path, target: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "rules.yml").write_text(_faster((DEPLOYED / "rules.yml").read_text()))
        config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.process = subprocess.Popen(
            [
                *(require("prometheus"), f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address={self.url[7:]}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait(lambda: self.ask("up == 1"))  # what was counted before the first scrape is no increase

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=30)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        return {each["metric"]["alertname"] for each in self.ask('ALERTS{alertstate="firing"}')}

    def wait(self, until: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError, httpx.HTTPStatusError):  # 503 until it has read its disk
                if until():
                    return
            time.sleep(0.2)
        raise TimeoutError


def _faster(rules: str) -> str:
    """Minutes to seconds, but ranges of at least 3 s: there must be some samples in them."""
    rules = re.sub(r"for: (\d+)m", r"for: \1s", rules)
    return re.sub(r"\[(\d+)[mhd]\]", lambda found: f"[{max(3, int(found[1]))}s]", rules)


@pytest.fixture(scope="module")
def prometheus(seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that scrapes the service."""
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{seen.service.port}")
    yield prometheus
    prometheus.process.terminate()
    prometheus.process.wait()


def transcribe(service: Service, recording: Path = SAMPLE) -> None:
    url = f"{service.url}/v1/audio/transcriptions"
    httpx.post(url, files={"file": recording.read_bytes()}, timeout=PATIENCE_S).raise_for_status()


def model_of(service: Service) -> psutil.Process:
    children = psutil.Process(service.process.pid).children()
    [model] = [each for each in children if "medasr-model" in each.cmdline()]
    return model


@pytest.mark.e2e
@pytest.mark.needs("prometheus")
def test_under_load_no_rule_fires_and_every_panel_has_its_series(seen: Seen, prometheus: Prometheus) -> None:
    def read() -> object:
        transcribe(seen.service)  # the load goes on: a rate looks a few seconds back
        return prometheus.ask("instance:medasr_audio_transcribed_seconds:rate5m > 0")

    prometheus.wait(read)
    assert prometheus.firing() <= {"MedASRSlow"}  # on a machine that does other things besides
    for query in QUERIES:
        prometheus.ask(query.replace("$__rate_interval", "5m").replace("$instance", ".+"))
    there = {each["metric"]["__name__"] for each in prometheus.ask('{__name__=~"medasr_.+"}')}
    by_error = {"medasr_decode_failures_total"}
    assert {name for each in QUERIES for name in series_in(each)} <= there | by_error


@pytest.mark.e2e
@pytest.mark.needs("prometheus")
def test_a_model_that_is_stopped_its_queue_and_a_disk_that_is_full_are_told(
    seen: Seen, prometheus: Prometheus
) -> None:
    """And what is well again fires no more. Clips of 4 s: seven are with the model, the others wait."""
    told = {"MedASRModelStuck", "MedASRQueueGrows"}
    model = model_of(seen.service)
    if seen.disk:
        told |= {"MedASRSpoolDiskFills", "MedASRSpoolDiskFull"}
        prometheus.wait(lambda: prometheus.ask("medasr_spool_disk_free_bytes > 512 * 1024 * 1024"))
        assert not told & prometheus.firing()
        subprocess.run(["fallocate", "-l", "560M", seen.disk / "others"], check=True)
    model.send_signal(signal.SIGSTOP)
    try:
        waiting = [threading.Thread(target=transcribe, args=(seen.service, SHORT)) for _ in range(36)]
        for each in waiting:
            each.start()
        prometheus.wait(lambda: told <= prometheus.firing())
    finally:
        model.send_signal(signal.SIGCONT)
        if seen.disk:
            (seen.disk / "others").unlink()
    for each in waiting:
        each.join()
    prometheus.wait(lambda: not (told - {"MedASRSpoolDiskFills"}) & prometheus.firing())


@pytest.mark.e2e
@pytest.mark.needs("prometheus")
def test_a_model_that_is_killed_is_told(seen: Seen, prometheus: Prometheus) -> None:
    model_of(seen.service).kill()
    prometheus.wait(lambda: "MedASRModelLost" in prometheus.firing())
    seen.service.wait_until_ready()
    transcribe(seen.service)

    def values() -> list[str]:
        queries = (
            "medasr_model_ready",
            "medasr_windows_running",
            'medasr_worker_starts_total{worker="model"}',
        )
        return [each["value"][1] for query in queries for each in prometheus.ask(query)]

    prometheus.wait(lambda: values() == ["1", "0", "2"])  # it looks every now and then


@pytest.mark.e2e
def test_a_second_start_leaves_the_counters_of_the_first_alone(
    seen: Seen, start_service: Callable[..., Service]
) -> None:
    """It is refused, and takes its own away."""
    first, variables = seen.service, {"TMPDIR": str(seen.folder), "BENTOML_HOME": f"{seen.folder}/bentoml"}
    httpx.get(f"{first.url}/v1/models")

    def asked() -> list[str]:
        text = httpx.get(f"{first.url}/metrics").text
        return [line for line in text.splitlines() if "medasr_requests_total{" in line and "models" in line]

    before = asked()
    assert before
    second = start_service(**variables, MEDASR_PORT=str(first.port))
    assert second.process.wait(PATIENCE_S) != 0
    assert asked() == before
    assert len(list(seen.folder.glob("medasr-metrics-*"))) == 1
    assert not (seen.folder / "bentoml" / "prometheus_multiproc_dir").exists()
