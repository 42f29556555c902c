"""What an installation and a Bento are made of."""

import tomllib
from importlib.metadata import version

from medasr_service.manifest import MAKERS
from medasr_service.version import VERSION
from tests.conftest import ROOT

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
