"""A short run of `make fuzz`; and what long runs found stays mended."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fuzz import seeds, targets
from tests.fuzz.hear import hear
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

MUTATIONS = 1_000


@pytest.fixture(scope="module")
def recordings() -> list[bytes]:
    return seeds.make()


def test_every_seed_is_heard(recordings: list[bytes]) -> None:
    assert {hear(data) for data in recordings} == {"heard"}


def test_a_mutation_is_the_same_each_time(recordings: list[bytes]) -> None:
    assert [mutate(n, recordings) for n in range(50)] == [mutate(n, recordings) for n in range(50)]


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NaN, which is refused
def test_a_mutated_recording_is_heard_or_refused_with_a_sentence(recordings: list[bytes]) -> None:
    found = {hear(mutate(number, recordings)) for number in range(MUTATIONS)}
    assert {"heard", "UnsupportedAudio", "TruncatedAudio"} <= found
    assert "MemoryError" not in found


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_no_reader_stumbles_at_a_recording_that_ends_in_its_first_bytes(recordings: list[bytes]) -> None:
    kinds = {data[:12]: data for data in recordings}.values()
    found = {(data[:4], size): hear(data[:size]) for data in kinds for size in range(1, 65)}
    assert {where: what for where, what in found.items() if what.startswith("stumbles")} == {}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_no_mutation_makes_a_reader_stumble(name: str, recordings: list[bytes]) -> None:
    sound = targets.seeds(name, recordings)
    for data in [*sound, *(mutate(number, sound) for number in range(200))]:
        TARGETS[name](data)


GUIDED = {"readers": 400, "plain_wav": 20_000, "events": 3_000, "forms": 500}  # how many, in a few seconds


@pytest.mark.parametrize("name", GUIDED)
def test_nor_does_one_that_is_guided_by_what_it_reaches(
    name: str, recordings: list[bytes], tmp_path: Path
) -> None:
    pytest.importorskip("atheris")
    (tmp_path / "seeds").mkdir()
    for number, data in enumerate(recordings):
        (tmp_path / "seeds" / f"{number:03}").write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(tmp_path), "--runs", str(GUIDED[name])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr[-4_000:]
    assert list((tmp_path / "found").iterdir()) == []
    assert len(list((tmp_path / "guided" / name).iterdir())) > 5  # some went new ways
