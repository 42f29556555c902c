"""What is in deploy/kubernetes: rendered, valid, confined, and true to the service's own settings."""

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import REGISTRY

from medasr_service.api.keys import PROBES
from medasr_service.settings import PORTS, Settings
from medasr_service.telemetry import metrics
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(each.name for each in (FOLDER / "overlays").iterdir())
COMPONENTS = sorted(each.name for each in (FOLDER / "components").iterdir())
VERSIONS = (
    "1.32.0",
    "1.35.0",
    "1.36.0",
    "1.37.0",
)  # from the oldest whose preStop sleeps without a feature gate
OWN_KINDS = {"PodMonitor", "ScaledObject", "HTTPRoute"}  # of others: Kubernetes has no schema of them
DNS = {53, 5353}
MIB = 1 << 20
PEAK_MIB = {
    "demo": 450,
    "model": 800,
    "jobs": 800,
}  # docs/load.md, docs/performance.md: all processes together
LEAVING_S = 10  # behind the drain

Manifest = dict[str, Any]


def render(
    folder: Path, *, overlay: str, components: tuple[str, ...] = (), images: Sequence[Manifest] = ()
) -> list[Manifest]:
    """As `kubectl apply -k` sees it."""
    if tool := shutil.which("kustomize"):
        command = [tool, "build"]
    elif tool := shutil.which("kubectl"):
        command = [tool, "kustomize"]
    else:
        pytest.skip("neither kustomize nor kubectl is here")
    folder.mkdir(exist_ok=True)
    chosen = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(FOLDER / "overlays" / overlay, folder)],
        "components": [os.path.relpath(FOLDER / "components" / each, folder) for each in components],
        "images": list(images),
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifests(overlay: str, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return render(tmp_path_factory.mktemp("overlay"), overlay=overlay)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """All components together, but for KEDA's autoscaler beside the other one."""
    components = tuple(each for each in COMPONENTS if each != "autoscaling-keda")
    return render(tmp_path_factory.mktemp("everything"), overlay="demo", components=components)


def of(manifests: list[Manifest], kind: str, name: str = "medasr") -> Manifest:
    [found] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def owned(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """What has pods, and the pod."""
    for each in manifests:
        if each["kind"] in ("Deployment", "Job"):
            yield each, each["spec"]["template"]


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    return (pod for _, pod in owned(manifests))


def service(manifests: list[Manifest]) -> Manifest:
    """The container that serves."""
    [container] = of(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def variables(container: Manifest) -> dict[str, str | None]:
    return {each["name"]: each.get("value") for each in container["env"]}


def quantity(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(\w*)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"": 1, "m": 1e-3, "Mi": MIB, "Gi": MIB << 10}[unit]


def test_each_pod_gets_the_image_that_can_do_its_work(tmp_path: Path) -> None:
    """By the overlay that the page shows: kustomize renames by name, so no two may have the same one."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0])
    found = render(tmp_path, overlay="jobs", images=shown["images"])
    images = {each["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for each, pod in owned(found)}
    pushed = "registry.example/medasr-service:0.2.0"
    assert images == {"medasr": f"{pushed}-jobs", "medasr-export": f"{pushed}-export"}
    model = render(tmp_path, overlay="model", images=shown["images"])
    assert service(model)["image"] == pushed
    assert {each["name"].removeprefix("medasr-service") for each in shown["images"]} == {
        "",
        "-export",
        "-jobs",
    }
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}: bento" in makefile for target in ("export-image", "jobs-image"))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_is_valid_for_current_versions(manifests: list[Manifest], version: str) -> None:
    for each in manifests:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_components_are_valid_too(everything: list[Manifest], tmp_path: Path) -> None:
    keda = render(tmp_path, overlay="demo", components=("autoscaling-keda",))
    kinds = {each["kind"] for each in (*everything, *keda)}
    assert kinds >= {*OWN_KINDS, "HorizontalPodAutoscaler", "Ingress"}
    for each in everything:
        if each["kind"] not in OWN_KINDS:
            kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


def test_each_pod_keeps_to_the_restricted_standard(manifests: list[Manifest]) -> None:
    """Pod Security Standards, `restricted`, control by control; and no uid, for OpenShift gives one."""
    for pod in pods(manifests):
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"runAsUser", "sysctls", "seLinuxOptions"} & set(spec["securityContext"])
        assert {kind for volume in spec["volumes"] for kind in volume} <= {
            "name",
            "emptyDir",
            "persistentVolumeClaim",
        }
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)
        assert spec["automountServiceAccountToken"] is False
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", ()))


def test_no_pod_is_given_variables_that_look_like_settings(manifests: list[Manifest]) -> None:
    """Of a Service named medasr Kubernetes makes MEDASR_PORT=tcp://..., which is refused as a setting."""
    assert of(manifests, "Service")["metadata"]["name"] == "medasr"
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods(manifests))


def test_each_variable_is_a_setting_and_means_what_it_says(
    manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {f"MEDASR_{name.upper()}" for name in Settings.model_fields}
    for pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            assert {name for name in variables(container) if name.startswith("MEDASR_")} <= known
    for name, value in variables(service(manifests)).items():
        monkeypatch.setenv(name, value or "a-key-that-is-long-enough")
    monkeypatch.setenv("MEDASR_JOBS_KEY", base64.b64encode(bytes(32)).decode())  # of the secret
    assert Settings().port == PORTS["medasr"]
    assert [each["containerPort"] for each in service(manifests)["ports"]] == [PORTS["medasr"]]


def test_a_pod_has_the_time_to_finish_what_it_began(manifests: list[Manifest]) -> None:
    spec = of(manifests, "Deployment")["spec"]["template"]["spec"]
    container = service(manifests)
    drain_s = float(variables(container)["MEDASR_DRAIN_TIMEOUT_S"] or 0)
    before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    unready_s = container["readinessProbe"]["periodSeconds"] * container["readinessProbe"]["failureThreshold"]
    assert drain_s == Settings.model_fields["drain_timeout_s"].default
    assert before_s >= unready_s
    assert spec["terminationGracePeriodSeconds"] >= before_s + drain_s + LEAVING_S


def test_the_probes_ask_what_is_answered_without_a_key(manifests: list[Manifest]) -> None:
    container = service(manifests)
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    }
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"}
    assert set(paths.values()) <= set(PROBES)


def test_resources_are_those_that_were_measured(overlay: str, manifests: list[Manifest]) -> None:
    """CPUs are limited, for the service counts them; memory has room for all processes and a full /tmp."""
    resources = service(manifests)["resources"]
    assert resources["limits"]["cpu"] == resources["requests"]["cpu"]
    assert resources["limits"]["memory"] == resources["requests"]["memory"]
    [tmp] = [
        each["emptyDir"]
        for each in of(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "tmp"
    ]
    assert tmp["medium"] == "Memory"
    needed = PEAK_MIB[overlay] * MIB + quantity(tmp["sizeLimit"])
    assert quantity(resources["limits"]["memory"]) > 1.3 * needed


def test_everything_is_meant_for_the_pods_that_there_are(everything: list[Manifest]) -> None:
    labels = of(everything, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
        assert of(everything, kind)["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert of(everything, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert of(everything, "Service")["spec"]["selector"].items() <= labels.items()
    ports = {each["name"] for each in service(everything)["ports"]}
    used = [each["port"] for each in of(everything, "PodMonitor")["spec"]["podMetricsEndpoints"]]
    used += [each["targetPort"] for each in of(everything, "Service")["spec"]["ports"]]
    used += [each["port"] for each in of(everything, "NetworkPolicy")["spec"]["ingress"][0]["ports"]]
    assert set(used) == ports == {"http"}
    [budget] = [each["spec"] for each in everything if each["kind"] == "PodDisruptionBudget"]
    assert budget["maxUnavailable"] == 1


def test_nothing_but_questions_for_names_leaves_the_service(overlay: str, manifests: list[Manifest]) -> None:
    policies = [each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"]
    mine = [each for each in policies if each["podSelector"]["matchLabels"] == {"app": "medasr"}]
    assert all("Egress" in each["policyTypes"] for each in mine)
    out = {port["port"] for each in mine for rule in each["egress"] for port in rule["ports"]}
    assert out == (DNS | {5432, 443} if overlay == "jobs" else DNS)
    exporters = [pod["metadata"]["labels"] for pod in pods(manifests)][1:]
    assert [each["podSelector"]["matchLabels"] for each in policies if each not in mine] == exporters


def test_replicas_are_the_autoscalers_where_there_is_one(everything: list[Manifest], tmp_path: Path) -> None:
    keda = render(tmp_path, overlay="demo", components=("autoscaling-keda",))
    for each in (everything, keda):
        assert "replicas" not in of(each, "Deployment")["spec"]
    assert of(everything, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "medasr"
    least = of(everything, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert of(keda, "ScaledObject")["spec"]["minReplicaCount"] == least == 2


def test_each_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    assert metrics.WINDOWS_WAITING
    known = {name for name in REGISTRY._names_to_collectors if name.startswith("medasr_")}
    used = {
        name
        for file in (*FOLDER.rglob("*.yaml"), ROOT / "docs" / "kubernetes.md")
        for name in re.findall(r"\bmedasr_[a-z_]+\b", file.read_text())
    }
    assert {"medasr_windows_waiting", "medasr_live_sessions_running"} <= used <= known


def test_the_ways_in_let_through_what_the_service_takes(everything: list[Manifest]) -> None:
    notes = {
        name.partition("/")[2]: value
        for name, value in of(everything, "Ingress")["metadata"]["annotations"].items()
    }
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert int(notes["proxy-body-size"].removesuffix("m")) > defaults["max_upload_mb"]
    for each in ("proxy-read-timeout", "proxy-send-timeout"):
        assert int(notes[each]) >= max(defaults["request_timeout_s"], defaults["live_idle_timeout_s"])
    assert notes["proxy-buffering"] == "off"
    [rule] = of(everything, "HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}  # none


def test_each_secret_that_is_needed_is_written_down(manifests: list[Manifest]) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for name in re.findall(r"secret(?:Key)?Ref: *\{?[^}]*?'?name'?: '?([\w-]+)", str(list(pods(manifests)))):
        assert f"secret generic {name}" in page


def test_the_recipe_for_kserve_is_that_of_the_deployment(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    [recipe] = [
        each
        for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
        if (each := yaml.safe_load(block)).get("kind") == "InferenceService"
    ]
    ours = service(render(tmp_path, overlay="model"))
    [theirs] = recipe["spec"]["predictor"]["containers"]
    assert recipe["spec"]["predictor"]["timeout"] >= Settings.model_fields["request_timeout_s"].default
    assert theirs["name"] == "kserve-container"  # KServe's word for the one that serves
    assert variables(theirs).items() <= variables(ours).items()
    for kind in ("requests", "limits"):
        wanted = {name: ours["resources"][kind][name] for name in ("cpu", "memory")}
        assert theirs["resources"][kind] == wanted
    asked = theirs["readinessProbe"]["httpGet"]
    assert (asked["path"], asked["port"]) == (ours["readinessProbe"]["httpGet"]["path"], PORTS["medasr"])
    assert "runAsUser" not in str(recipe)
