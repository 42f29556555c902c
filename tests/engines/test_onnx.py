"""The ONNX engine against the reference, and the cache of its artefacts."""

import errno
import json
import logging
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from transformers import AutoProcessor

from medasr_service import engines
from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines import Engine, artefact
from medasr_service.engines.frontend import LogMel
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.errors import ModelUnavailable
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.manifest import MANIFEST
from medasr_service.settings import Settings
from tests.conftest import CLIPS, ROOT


@pytest.fixture(scope="module")
def onnx(demo: Checkpoint) -> Engine:
    return engines.load(demo, Settings(engine="onnx"))


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 48_123])
def test_the_front_end_equals_the_feature_extractor(
    demo: Checkpoint, rng: np.random.Generator, samples: int
) -> None:
    waveform = rng.normal(0, 0.1, samples).astype(np.float32)
    reference = AutoProcessor.from_pretrained(demo.folder).feature_extractor
    expected = reference(waveform, sampling_rate=16_000, return_tensors="np").input_features[0]
    got = LogMel(demo.feature_extractor)(waveform)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-4


def test_posteriors_equal_the_reference_in_one_batch(onnx: Engine, engine: TorchCTC) -> None:
    waveforms = [clip.waveform for clip in CLIPS]
    waveforms.append(waveforms[0][:1000])  # shorter than a frame
    for got, expected in zip(onnx.infer(waveforms), engine.infer(waveforms), strict=True):
        assert got.shape == expected.shape
        assert np.abs(np.exp(got) - np.exp(expected)).max() < 1e-4


def test_every_clip_has_the_text_of_the_reference(
    onnx: Engine, engine: TorchCTC, vocabulary: Vocabulary
) -> None:
    for clip in CLIPS:
        tokens = [ctc.greedy(each.infer([clip.waveform])[0], vocabulary) for each in (onnx, engine)]
        assert [token.id for token in tokens[0]] == [token.id for token in tokens[1]]


def test_an_emission_alone_equals_that_in_a_batch(onnx: Engine) -> None:
    waveforms = [clip.waveform for clip in CLIPS]
    for waveform, together in zip(waveforms, onnx.infer(waveforms), strict=True):
        [alone] = onnx.infer([waveform])
        assert np.abs(alone - together).max() < 1e-3
        assert (alone.argmax(axis=1) == together.argmax(axis=1)).all()


def test_the_serving_process_imports_neither_torch_nor_transformers() -> None:
    program = """
import sys
from medasr_service import engines, settings
from medasr_service.model import checkpoint
found = checkpoint.resolve(settings.load())
engines.load(found, settings.load())
print([name for name in ("torch", "transformers", "librosa", "numba") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were exported, by an exporter that writes a byte: exporting takes seconds."""
    made: list[Path] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        made.append(Path(command[-1]))
        made[-1].write_bytes(b"graph")
        made[-1].with_suffix(".onnx.data").write_bytes(b"weights")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("medasr_service.engines.artefact.subprocess.run", run)
    return made


def test_an_artefact_is_made_once_and_announced(
    demo: Checkpoint, exports: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bentoml.medasr"):
        first = artefact.ensure(demo, tmp_path, "fp32")
        second = artefact.ensure(demo, tmp_path, "fp32")
    assert first == second
    assert len(exports) == 1
    assert "exporting medasr-demo" in caplog.text
    manifest = json.loads((first.parent / MANIFEST).read_text())
    assert manifest["source"]["revision"] == "bundled"
    assert {"model.onnx", "model.onnx.data", "config.json", "tokenizer.json"} <= set(manifest["files"])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".export")] == []


def test_two_that_start_together_export_once(demo: Checkpoint, exports: list[Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        files = set(pool.map(lambda _: artefact.ensure(demo, tmp_path, "fp32"), range(4)))
    assert len(files) == len(exports) == 1


class _Messages(logging.Handler):
    """Sets ``said`` when a message begins with these words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.said = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._words):
            self.said.set()


def test_who_waits_for_another_export_says_so(demo: Checkpoint, exports: list[Path], tmp_path: Path) -> None:
    file = artefact.ensure(demo, tmp_path, "fp32")
    shutil.rmtree(file.parent)
    waiting = _Messages("waiting for another process")
    logger = logging.getLogger("bentoml.medasr")
    level = logger.level
    logger.addHandler(waiting)
    logger.setLevel(logging.INFO)
    try:
        with ThreadPoolExecutor(1) as pool:
            with FileLock(f"{file.parent}.lock"):
                second = pool.submit(artefact.ensure, demo, tmp_path, "fp32")
                assert waiting.said.wait(30)
                assert len(exports) == 1
            assert second.result(30) == file
    finally:
        logger.removeHandler(waiting)
        logger.setLevel(level)
    assert len(exports) == 2


def test_nobody_waits_for_an_export_for_ever(
    demo: Checkpoint, exports: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(artefact, "MAX_WAIT_S", 0.0)
    file = artefact.ensure(demo, tmp_path, "fp32")
    shutil.rmtree(file.parent)
    with (
        FileLock(f"{file.parent}.lock"),
        pytest.raises(ModelUnavailable, match="another process has been exporting medasr-demo"),
    ):
        artefact.ensure(demo, tmp_path, "fp32")


def test_an_artefact_under_the_name_of_another_precision_is_not_served(
    demo: Checkpoint, exports: list[Path], tmp_path: Path
) -> None:
    other = artefact.ensure(demo, tmp_path, "other").parent
    shutil.copytree(other, tmp_path / other.name.replace("-other", "-fp32"))
    folder = artefact.ensure(demo, tmp_path, "fp32").parent
    assert json.loads((folder / MANIFEST).read_text())["source"]["precision"] == "fp32"
    assert len(exports) == 2


def test_the_artefact_of_another_model_is_not_served(
    demo: Checkpoint, exports: list[Path], tmp_path: Path
) -> None:
    folder = artefact.ensure(demo, tmp_path, "fp32").parent
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["source"]["sha256"]["model.safetensors"] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(manifest))
    artefact.ensure(demo, tmp_path, "fp32")
    assert len(exports) == 2


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "manifest.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", [b"", b"other"])
def test_a_damaged_artefact_is_made_again(
    demo: Checkpoint, exports: list[Path], tmp_path: Path, name: str, damage: bytes
) -> None:
    file = artefact.ensure(demo, tmp_path, "fp32")
    (file.parent / name).write_bytes(damage)
    artefact.ensure(demo, tmp_path, "fp32")
    assert len(exports) == 2
    assert file.read_bytes() == b"graph"


def test_another_revision_gets_another_artefact(
    demo: Checkpoint, exports: list[Path], tmp_path: Path
) -> None:

    other = replace(demo, revision="another")
    assert artefact.ensure(demo, tmp_path, "fp32") != artefact.ensure(other, tmp_path, "fp32")
    assert len(exports) == 2


def test_an_unwritable_cache_is_one_line(demo: Checkpoint, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ModelUnavailable, match="MEDASR_CACHE_DIR"):
        artefact.ensure(demo, blocked / "cache", "fp32")


def test_a_failed_export_leaves_nothing_and_says_why(
    demo: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_bytes(b"half")
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nOSError: No space left on device\n")

    monkeypatch.setattr("medasr_service.engines.artefact.subprocess.run", fail)
    with pytest.raises(ModelUnavailable, match="No space left on device"):
        artefact.ensure(demo, tmp_path, "fp32")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_full_disk_is_called_so(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What fails on it says "problem writing element 18432", or worse."""

    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "OSError: problem writing element 18432 to file\n")

    monkeypatch.setattr("medasr_service.engines.artefact.subprocess.run", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4_096))
    with pytest.raises(ModelUnavailable, match=f"the disk of {tmp_path} is full: set MEDASR_CACHE_DIR"):
        artefact.ensure(demo, tmp_path, "fp32")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_disk_that_is_full_at_the_last_file_is_one_line(
    demo: Checkpoint, exports: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(ModelUnavailable, match=r"cannot be kept in .*No space left on device.*MEDASR_CACHE"):
        artefact.ensure(demo, tmp_path, "fp32")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_an_artefact_that_came_with_the_sources_is_used(
    demo: Checkpoint, exports: list[Path], tmp_path: Path
) -> None:
    shipped = artefact.ensure(demo, tmp_path / "shipped", "fp32")
    assert artefact.ensure(demo, tmp_path / "cache", "fp32", shipped=[tmp_path / "shipped"]) == shipped
    assert len(exports) == 1
    assert not (tmp_path / "cache").exists()


def test_an_artefact_gives_the_text_of_its_checkpoint(
    demo: Checkpoint, onnx: Engine, vocabulary: Vocabulary
) -> None:
    folder = engines.prepare(demo, Settings()).parent
    found = checkpoint.resolve(Settings(model=str(folder)))
    alone = engines.load(found, Settings(model=str(folder)))
    assert (found.id, found.demo, found.geometry) == (demo.id, True, demo.geometry)
    assert Vocabulary.load(found.folder) == vocabulary
    for got, expected in zip(alone.infer([CLIPS[0].waveform]), onnx.infer([CLIPS[0].waveform]), strict=True):
        assert np.array_equal(got, expected)


def test_without_torch_an_artefact_that_is_missing_is_one_line(
    demo: Checkpoint, exports: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("medasr_service.model.manifest.MAKERS", ("no_such_package_as_torch",))
    with pytest.raises(ModelUnavailable, match="needs no_such_package_as_torch: pip install no_such"):
        artefact.ensure(demo, tmp_path, "fp32")
    assert exports == []


def test_an_artefact_in_another_precision_is_refused(
    demo: Checkpoint, exports: list[Path], tmp_path: Path
) -> None:
    folder = artefact.ensure(demo, tmp_path, "fp32").parent
    found = checkpoint.resolve(Settings(model=str(folder)))
    with pytest.raises(ModelUnavailable, match="in fp32, not in another"):
        artefact.ensure(found, tmp_path, "another")


def test_without_torch_the_torch_engine_is_one_line(
    demo: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medasr_service.model.manifest.MAKERS", ("no_such_package_as_torch",))
    with pytest.raises(ModelUnavailable, match="needs no_such_package_as_torch"):
        engines.prepare(demo, Settings(engine="torch"))
