"""What a stranger installs: the wheel that the sdist builds, elsewhere, without torch or a network."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from medasr_service.model.manifest import MAKERS
from medasr_service.version import VERSION
from tests.conftest import CLIPS, ROOT, free_port

pytestmark = pytest.mark.e2e

HIDDEN = re.compile(
    rf"(torch|functorch|torchgen|onnx_ir|onnx|{'|'.join(MAKERS)})([-_.].*)?$|.*medasr.*|.*\.pth$"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that was built of it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"medasr_service-{VERSION}.dist-info/METADATA"))


def _tracked(*folders: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_the_wheel_is_the_package_and_nothing_beside_it(in_wheel: set[str]) -> None:
    config = {f"medasr_service/{name}" for name in ("config/__init__.py", "config/models.py")}
    wanted = _tracked("medasr_service") | config | {"medasr_service/config/inference.yaml"}
    assert {name for name in in_wheel if ".dist-info/" not in name} == wanted


def test_the_wheel_says_what_it_is(metadata: Message, in_wheel: set[str]) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("medasr-service", VERSION)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "medasr-service developers"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert "Topic :: Multimedia :: Sound/Audio :: Speech" in metadata.get_all("Classifier", [])
    assert f"medasr_service-{VERSION}.dist-info/licenses/LICENSE" in in_wheel


def test_what_it_requires_to_serve_is_in_requirements_txt(metadata: Message) -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = {re.split(r"[><=;# ]", line)[0] for line in lines if line and not line.startswith("#")}
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.split(r"[><=; ]", line)[0] for line in required} == wanted


def test_what_readme_links_to_is_in_the_sdist(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text())
    assert {link for link in links if "://" not in link} <= names
    assert {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} <= names


def test_the_changelog_begins_with_this_version() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(section.startswith(VERSION) for section in sections[:2])


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new one with the wheel, and what it requires as it is installed here; not what makes artefacts."""
    folder = tmp_path_factory.mktemp("environment")
    venv, packages = folder / "venv", folder / "packages"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-warn-script-location", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    packages.mkdir()
    [here] = {Path(path) for path in sys.path if path.endswith("site-packages")}
    for each in here.iterdir():
        if not HIDDEN.fullmatch(each.name):
            (packages / each.name).symlink_to(each)
    [site] = venv.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
    return python


def _without_network() -> list[str]:
    """What begins a command that reaches nobody, where this machine lets us."""
    prefix = ["unshare", "--map-root-user", "--net"]
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True)
    except FileNotFoundError:
        return []
    return prefix if done.returncode == 0 else []


@pytest.fixture(scope="module")
def told(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/installed.py found out there."""
    folder = tmp_path_factory.mktemp("elsewhere")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MEDASR_", "PYTHON"))}
    home = {"HOME": str(folder), "HF_HOME": str(folder / "hub"), "BENTOML_HOME": str(folder / "bentoml")}
    command = [*_without_network(), str(environment), str(ROOT / "tests" / "installed.py")]
    done = subprocess.run(
        [*command, str(CLIPS[0].path), str(free_port())],
        cwd=folder,
        env={**clean, **home},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    answers["serve"]["log"] = done.stderr
    return answers


def test_it_is_the_installed_package_that_runs(told: dict[str, Any]) -> None:
    assert "site-packages/medasr_service" in told["package"]
    assert told["config"] == f"{told['package']}/config/inference.yaml"
    assert told["torch"] == []


@pytest.mark.parametrize("how", ["transcribe", "int8"])
def test_it_transcribes(told: dict[str, Any], how: str) -> None:
    assert told[how]["out"].strip() == CLIPS[0].text, told[how]["told"]


def test_it_serves_and_shows_its_panel(told: dict[str, Any]) -> None:
    served = told["serve"]
    assert json.loads(served["answer"])["text"]
    assert served["health"]["version"] == VERSION
    assert "<!doctype html>" in served["panel"]
    assert "serve ended with 0" in served["log"]


def test_it_evaluates(told: dict[str, Any]) -> None:
    assert told["evaluate"]["status"] == 0, told["evaluate"]["told"]
    assert "| greedy | 0.00 % |" in told["evaluate"]["out"]


def test_it_exports_what_it_brings(told: dict[str, Any]) -> None:
    assert told["export"]["out"].strip().endswith("model.onnx"), told["export"]["told"]


def test_a_model_that_has_no_artefact_is_one_line(told: dict[str, Any]) -> None:
    [line] = told["hub"]["told"].splitlines()
    assert told["hub"]["status"] == 2
    assert "pip install torch transformers onnxscript" in line
