"""Workers stay near their memory, on a machine that has several."""

import os
from pathlib import Path

import pytest

from medasr_service.engines import cpu


def machine(folder: Path, *lists: str) -> Path:
    for number, each in enumerate(lists):
        (folder / f"node{number}").mkdir()
        (folder / f"node{number}" / "cpulist").write_text(f"{each}\n")
    return folder


@pytest.fixture
def kept_to(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """To which CPUs a process was kept; it may use twelve, of a machine with more."""
    kept: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: kept.append(cpus), raising=False)
    return kept


def test_workers_are_dealt_to_the_nodes_in_turn(tmp_path: Path, kept_to: list[set[int]]) -> None:
    folder = machine(tmp_path, "0-3,8-11", "4-7,12-15", "")  # the last: memory without CPUs
    assert cpu.nodes(folder) == [{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7}]
    for number in range(3):
        cpu.stay_near(number, 4, folder)
    assert kept_to == [{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7}, {0, 1, 2, 3, 8, 9, 10, 11}]


@pytest.mark.parametrize("lists", [(), ("0-15",), ("0-15", "16-31"), ("0-9", "10-15")])
def test_where_one_node_has_all_or_none_has_enough_nothing_is_pinned(
    tmp_path: Path, kept_to: list[set[int]], lists: tuple[str, ...]
) -> None:
    cpu.stay_near(1, 4, machine(tmp_path, *lists))
    assert kept_to == []
