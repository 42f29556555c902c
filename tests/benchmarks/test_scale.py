"""The simulations of docs/scale.md."""

import re

import pytest

from benchmarks.scale import page
from benchmarks.scale.archive import Archive, Cluster, simulate
from benchmarks.scale.costs import FP32, INT8
from benchmarks.scale.online import step, windows
from tests.conftest import ROOT


def test_the_figures_to_compare_with_are_those_of_the_load_test() -> None:
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) s \| \d+ \|$", (ROOT / "docs" / "load.md").read_text(), re.M)
    assert {int(users): float(seconds) for users, seconds in rows} == page.MEASURED_P95_S


@pytest.mark.parametrize("users", [1, 2, 3, 4])
def test_the_simulated_load_test_is_near_the_measured_one(users: int) -> None:
    found = step(FP32, users, seconds=3600)
    assert found.p95_s == pytest.approx(page.MEASURED_P95_S[users], rel=0.25)


def test_more_workers_are_never_worse() -> None:
    p95_s = [step(INT8, 8, workers=workers, seconds=600, watched=False).p95_s for workers in (1, 2, 4)]
    assert p95_s == sorted(p95_s, reverse=True)


def test_windows_hear_all_of_a_recording_and_no_more_than_fits() -> None:
    for length_s in (3.0, 20.0, 20.1, 60.0, 300.0):
        heard = windows(length_s)
        assert length_s <= sum(heard) + 1e-6 <= 1.14 * length_s
        assert max(heard) <= 20.05


def test_the_page_has_a_place_for_each_table() -> None:
    text = (ROOT / "docs" / "scale.md").read_text()
    assert [text.count(f"<!-- {name} -->\n|") for name in page.TABLES] == [1] * len(page.TABLES)


def test_a_cluster_hears_all_whatever_dies() -> None:
    archive = Archive(recordings=4000)
    quiet = simulate(archive, Cluster(nodes=4, mtbf_h=1e9))
    stormy = simulate(archive, Cluster(nodes=4, mtbf_h=0.1))
    engine_h = [found.shares["hearing"] * found.hours for found in (quiet, stormy)]
    assert engine_h[0] == pytest.approx(engine_h[1], rel=1e-6)
    assert quiet.deaths == 0 < stormy.deaths
    assert quiet.hours < stormy.hours
    for found in (quiet, stormy):
        assert sum(found.shares.values()) == pytest.approx(1)


def test_one_engine_hears_an_archive_as_fast_as_a_request() -> None:
    """60 min in docs/performance.md: 295.7 s, twelve seconds of sound in one."""
    found = simulate(Archive(recordings=500), Cluster(nodes=1, cpus=2, mtbf_h=1e9))
    assert found.audio_h / (found.hours * found.shares["hearing"]) == pytest.approx(3600 / 295.7, rel=0.2)
