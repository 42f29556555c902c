"""How many workers there are, and threads of each."""

from pathlib import Path

import pytest

from medasr_service.serving import layout
from medasr_service.serving.layout import Layout
from medasr_service.settings import Settings

GIB = 1 << 30
FULL_SIZE = 420_000_000  # bytes of weights, in fp32


@pytest.mark.parametrize(
    ("workers", "threads", "cpus", "expected"),
    [
        (None, None, 1, (1, 1)),
        (None, None, 2, (1, 2)),
        (None, None, 6, (1, 6)),
        (None, None, 8, (2, 4)),
        (None, None, 10, (2, 5)),
        (None, None, 32, (8, 4)),
        (None, None, 96, (24, 4)),
        (None, 2, 32, (1, 2)),  # whoever sets threads alone wants no more of the machine
        (2, None, 2, (2, 1)),
        (3, None, 2, (3, 1)),
        (4, 3, 2, (4, 3)),
    ],
)
def test_the_layout_fits_the_cpus(
    workers: int | None, threads: int | None, cpus: int, expected: tuple[int, int]
) -> None:
    assert layout.of(Settings(workers=workers, threads=threads), cpus) == Layout(*expected)


@pytest.mark.parametrize(
    ("limit_bytes", "shared", "expected"),
    [
        (64 * GIB, False, (8, 4)),
        (4 * GIB, True, (8, 4)),
        (4 * GIB, False, (4, 8)),
        (2 * GIB, True, (4, 8)),
        (1 * GIB, True, (1, 32)),
        (1 * GIB // 4, False, (1, 32)),
    ],
)
def test_where_the_memory_does_not_do_for_all_fewer_workers_have_more_threads(
    limit_bytes: int, shared: bool, expected: tuple[int, int]
) -> None:
    got = layout.that_fits(Layout(8, 4), weights_bytes=FULL_SIZE, shared=shared, limit_bytes=limit_bytes)
    assert got == Layout(*expected)


def test_the_processes_hear_what_the_supervisor_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(layout.VARIABLE, "")
    assert layout.heard(Settings(threads=3)) == Layout(1, 3)
    layout.tell(Layout(5, 2))
    assert layout.heard(Settings(threads=3)) == Layout(5, 2)


def test_weights_are_those_of_the_artefact_and_not_what_lies_beside(tmp_path: Path) -> None:
    for name, size in (("model.onnx", 3), ("model.onnx.data", 40), ("lm_6.kenlm", 500), ("a.safetensors", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    assert layout.weights_bytes(tmp_path / "model.onnx") == 43
    assert layout.weights_bytes(tmp_path) == 7
