"""Weights that workers share: the same posteriors, and never of another model, machine or version."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest

from medasr_service.engines import artefact, packed
from medasr_service.engines.onnx_ctc import OnnxCTC
from medasr_service.engines.sessions import session
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.manifest import SHIPPED
from tests.conftest import CLIPS, said_by

OWN_WEIGHTS = "each worker holds weights of its own"


@pytest.fixture(scope="module", params=["fp32", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(demo: Checkpoint, precision: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = artefact.find(demo, tmp_path_factory.mktemp("none"), precision, shipped=SHIPPED)
    assert found
    return found


@pytest.fixture(scope="module")
def cache(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the packed model in it."""
    folder = tmp_path_factory.mktemp("cache")
    assert packed.ensure(model, folder)
    return folder


@pytest.mark.parametrize("threads", [1, 2])
def test_every_posterior_is_the_same_to_the_last_bit(
    demo: Checkpoint, model: Path, cache: Path, precision: str, threads: int
) -> None:
    found = packed.find(model, cache)
    assert found
    own = OnnxCTC(demo, model, precision, threads=2)
    shared = OnnxCTC(demo, found, precision, threads=threads, packed=True)
    waveforms = [clip.waveform for clip in CLIPS[:4]]
    for ours, theirs in zip(own.infer(waveforms), shared.infer(waveforms), strict=True):
        assert np.array_equal(ours, theirs)


def test_what_is_packed_for_bf16_is_not_taken_for_fp32(model: Path, tmp_path: Path) -> None:
    found = packed.ensure(model, tmp_path, bf16=True)
    assert found
    assert packed.find(model, tmp_path, bf16=True) == found
    assert packed.find(model, tmp_path) is None


def test_the_weights_are_mapped_and_not_copied(model: Path, cache: Path) -> None:
    found = packed.find(model, cache)
    assert found
    loaded = session(found, threads=1, packed=True)
    mapped = [each for each in psutil.Process().memory_maps() if each.path == str(found) + ".data"]
    assert loaded
    assert sum(each.rss for each in mapped) > 0.9 * model.with_name("model.onnx.data").stat().st_size


def _another_artefact(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    other = cache.with_name("other") / model.parent.name
    shutil.copytree(model.parent, other)
    with (other / "model.onnx.data").open("r+b") as file:
        file.seek(1000)
        file.write(b"another weight")
    return other / model.name


def _another_version(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(onnxruntime, "__version__", "9.9.9")
    return model


def _another_cpu(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packed, "_cpu", lambda: "another")
    return model


def _damaged(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with next(cache.glob("*/model.onnx.data")).open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"!")
    return model


def _cut_off(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    next(cache.glob("*/packed.json")).write_text('{"source": ')
    return model


@pytest.mark.parametrize(
    "change",
    [_another_artefact, _another_version, _another_cpu, _damaged, _cut_off],
    ids=lambda f: f.__name__,
)
def test_what_is_not_of_this_model_and_machine_is_made_anew(
    model: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, Path, pytest.MonkeyPatch], Path],
) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    changed = change(model, own, monkeypatch)
    assert packed.find(changed, own) is None
    made = packed.ensure(changed, own)
    assert made
    assert made == packed.find(changed, own)
    assert json.loads((made.parent / "packed.json").read_text())["source"]


def test_where_there_is_no_room_each_worker_has_its_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        (tmp_path / "file").write_text("")
        assert packed.ensure(model, tmp_path / "file") is None
        monkeypatch.setattr(packed, "ROOM", 1e9)
        assert packed.ensure(model, tmp_path) is None
    assert [line.partition(":")[0] for line in said_by("bentoml.medasr", caplog)] == [OWN_WEIGHTS] * 2
    assert not list(tmp_path.glob("*packed*/"))


def test_what_hears_something_else_is_not_kept(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = iter([np.zeros(3), np.ones(3)])
    monkeypatch.setattr(packed, "_heard", lambda _: next(heard))
    assert packed.ensure(model, tmp_path) is None
    assert [each.name for each in tmp_path.iterdir()] == [f"{model.parent.name}-packed-{packed._cpu()}.lock"]


def test_the_kind_of_cpu_is_known_by_what_it_can_do(tmp_path: Path) -> None:
    def kind(text: str) -> str:
        (tmp_path / "cpuinfo").write_text(text)
        return packed._cpu(tmp_path / "cpuinfo")

    zen = "processor: 0\nvendor_id: AuthenticAMD\nflags: sse avx2\ncpu MHz: 2000\n\nprocessor: 1\nflags: x\n"
    arm = "processor: 0\nFeatures: asimd i8mm\nCPU part: 0xd40\n"
    assert kind(zen) == kind(zen.replace("2000", "3000"))
    kinds = (zen, zen.replace("avx2", "avx512f"), arm, arm.replace("i8mm", ""))
    assert len(set(map(kind, kinds))) == len(kinds)
