"""What an installation and a Bento are made of."""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from medasr_service.model.manifest import MAKERS
from medasr_service.version import VERSION
from tests.conftest import ROOT, SAMPLE, SAMPLE_TEXT, Service

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_version_is_written_once() -> None:
    assert version("medasr-service") == VERSION


def test_the_second_set_of_requirements_is_the_extra_of_the_package() -> None:
    assert requirements("requirements-torch.txt") == PROJECT["optional-dependencies"]["export"]


def test_serving_requires_nothing_that_makes_artefacts() -> None:
    names = {line.split(">")[0].lower() for line in requirements("requirements.txt")}
    assert not names & {*MAKERS, "librosa", "scipy", "numba"}


def tracked(*folders: str) -> set[str]:
    files = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(files.stdout.splitlines())


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The BENTOML_HOME in which a Bento was built."""
    home = tmp_path_factory.mktemp("bentoml")
    script = [ROOT / "scripts" / "bento.sh"]
    subprocess.run(script, env={**os.environ, "BENTOML_HOME": str(home)}, check=True, capture_output=True)
    return home


@pytest.mark.e2e
def test_a_bento_holds_what_serving_needs_and_nothing_else(bento: Path) -> None:
    [source] = bento.glob("bentos/medasr/*/src")
    files = {file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()}
    recordings = re.compile(r"demo_model/(clips/|sample\.|training\.png)")
    wanted = {
        file
        for file in tracked("medasr_service", "config/*.py", "config/inference.yaml")
        if not recordings.search(file)
    }
    lists = {"requirements-torch.txt", "requirements-lock.txt", "requirements-lock-jobs.txt"}  # for the image
    assert files == wanted | lists | {"service.py", "bentofile.yaml"}
    assert sum(file.stat().st_size for file in source.rglob("*") if file.is_file()) < 40e6


@pytest.mark.e2e
def test_a_bento_serves_from_another_folder(
    bento: Path, start_service: Callable[..., Service], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    service = start_service(
        "medasr:latest", folder=tmp_path, BENTOML_HOME=str(bento), MEDASR_CACHE_DIR=str(cache)
    )
    service.wait_until_ready()
    fields = {"formatting": "raw", "response_format": "text"}
    with SAMPLE.open("rb") as file:
        route = f"{service.url}/v1/audio/transcriptions"
        response = httpx.post(route, files={"file": file}, data=fields, timeout=120)
    assert response.text.strip() == SAMPLE_TEXT
    assert not cache.exists()  # the artefact came along
    service.stop()
    assert service.process.returncode == 0
