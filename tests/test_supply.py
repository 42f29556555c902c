"""What the image is made of: pinned by hashes, named, and under licences that are known."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

LOCKS = {name: (ROOT / name).read_text() for name in ("requirements-lock.txt", "requirements-lock-jobs.txt")}
LOCK, JOBS_LOCK = LOCKS.values()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile.j2").read_text()
IMAGE = {"python_version": "3.11", "sys_platform": "linux", "python_full_version": "3.11.16"}


def locked(lock: str = LOCK) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def wanted() -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    return [each for each in found if not each.marker or each.marker.evaluate(IMAGE)]


@pytest.mark.parametrize("requirement", wanted(), ids=lambda each: each.name)
def test_the_lock_has_what_serving_needs(requirement: Requirement) -> None:
    assert locked()[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_other_lock_has_what_jobs_need_in_a_bucket_besides() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = locked(JOBS_LOCK)
    for requirement in (*wanted(), *map(Requirement, (*extras["jobs"], *extras["s3"]))):
        assert found[canonicalize_name(requirement.name)] in requirement.specifier
    differ = {name for name, version in locked().items() if found.get(name) != version}
    assert len(differ) <= 3, differ  # what is tested is nearly what is in it


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_its_hashes(lock: str) -> None:
    lines = [line for line in LOCKS[lock].splitlines() if line and not line.startswith("#")]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert re.fullmatch(r"[a-z0-9._-]+==\S+ \\", line), line
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", following), line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_brings_no_cuda_and_names_no_index(lock: str) -> None:
    assert not [
        name
        for name in locked(LOCKS[lock])
        if re.match(r"torch|triton|cuda|nvidia-(?!ml-py)|onnxruntime-gpu", name)
    ]
    assert "://" not in LOCKS[lock]


def test_the_image_installs_the_lock_and_nothing_else() -> None:
    """But for WITH_TORCH, which serves nobody."""
    installs = [each for each in re.findall(r"pip install (.*)", DOCKERFILE) if "torch" not in each.lower()]
    assert len(installs) == 1
    assert installs[0].endswith('--require-hashes --no-deps --only-binary :all: -r "/build/$LOCK"')
    assert re.findall("^ARG LOCK=(.*)$", DOCKERFILE, re.M) == ["requirements-lock.txt"]
    included = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
    assert {f"/{name}" for name in LOCKS} <= set(included)


def test_the_base_image_is_named_by_its_digest_and_dated() -> None:
    assert re.search(
        r"^# Base image of \d{4}-\d\d-\d\d: .*\nARG BASE=\S+:3\.11-slim@sha256:[0-9a-f]{64}$",
        DOCKERFILE,
        re.M,
    )
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) == {"${BASE}"}


def test_the_licence_of_every_package_is_listed() -> None:
    image, jobs = LICENCES.split("The image of `make jobs-image` has these besides")
    rows = [row for each in (image, jobs) for row in ROW.findall(each)[2:]]
    told = [
        {canonicalize_name(name): version for name, version, _ in ROW.findall(each)[2:]}
        for each in (image, jobs)
    ]
    assert told == [locked(), dict(locked(JOBS_LOCK).items() - locked().items())]
    assert not [name for name, _, licence in rows if licence in ("", "UNKNOWN")]


ROW = re.compile(r"^\| *([^|]+?) *\| *([^|]+?) *\| *([^|]+?) *\|$", re.MULTILINE)
LICENCES = (ROOT / "docs" / "licences.md").read_text()
