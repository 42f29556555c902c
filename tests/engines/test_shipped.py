"""The demo model's artefacts that ship inside the package: `python -m training.artefact` makes them anew."""

from pathlib import Path

import numpy as np
import pytest

from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines import Engine, artefact
from medasr_service.engines.onnx_ctc import OnnxCTC
from medasr_service.engines.sessions import session
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.model.checkpoint import DEMO_FOLDER, Checkpoint
from medasr_service.model.manifest import SHIPPED
from tests.conftest import CLIPS, ROOT

MAX_BYTES = 8_000_000
MAX_MOVED = 1e-4  # of a posterior, between two versions of the exporter
MAX_TIPPED = 0.05  # where a sum in another order tips the rounding of int8


@pytest.fixture(scope="module", params=["fp32", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shipped(demo: Checkpoint, precision: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model.onnx for the digests of the checkpoint as it is now."""
    found = artefact.find(demo, tmp_path_factory.mktemp("none"), precision, shipped=SHIPPED)
    assert found, f"no shipped artefact is of this checkpoint in {precision}: run python -m training.artefact"
    return found


@pytest.fixture(scope="module")
def serving(demo: Checkpoint, shipped: Path, precision: str) -> Engine:
    return OnnxCTC(demo, shipped, precision)


def _tokens(engine: Engine, vocabulary: Vocabulary) -> list[list[int]]:
    waveforms = [clip.waveform for clip in CLIPS]
    return [[token.id for token in ctc.greedy(each, vocabulary)] for each in engine.infer(waveforms)]


def test_it_is_in_the_package_whole_and_small(shipped: Path, precision: str) -> None:
    assert shipped == DEMO_FOLDER / "artefacts" / precision / "model.onnx"
    files = [file for file in shipped.parent.iterdir() if file.name != "manifest.json"]
    assert sum(file.stat().st_size for file in files) <= MAX_BYTES


def test_it_writes_every_clip_as_the_reference(
    serving: Engine, engine: TorchCTC, vocabulary: Vocabulary
) -> None:
    assert _tokens(serving, vocabulary) == _tokens(engine, vocabulary)


def test_it_is_what_the_exporter_makes(
    demo: Checkpoint, serving: Engine, precision: str, vocabulary: Vocabulary
) -> None:
    made = OnnxCTC(demo, artefact.ensure(demo, ROOT / "build" / "cache", precision), precision)
    waveform = CLIPS[0].waveform
    [got], [expected] = made.infer([waveform]), serving.infer([waveform])
    assert np.abs(np.exp(got) - np.exp(expected)).max() < MAX_MOVED
    assert _tokens(made, vocabulary) == _tokens(serving, vocabulary)


def test_each_number_of_features_has_the_frames_that_it_has_with_silence_behind(
    shipped: Path, precision: str
) -> None:
    """The network itself takes any number; the engine only ever gives it multiples of 64."""
    network = session(shipped, threads=1)
    features = np.random.default_rng(0).normal(-5, 3, (1, 64, 128)).astype(np.float32)
    for count in range(13, 22):
        lengths = np.array([count])
        padded = np.where(np.arange(64)[:, None] < count, features, np.float32(0))
        [alone] = network.run(None, {"features": features[:, :count], "lengths": lengths})
        [among] = network.run(None, {"features": padded, "lengths": lengths})
        frames = ((count - 5) // 2 + 1 - 5) // 2 + 1
        assert alone.shape[1] == frames
        moved = np.abs(np.exp(alone) - np.exp(among[:, :frames])).max()
        assert moved < (MAX_MOVED if precision == "fp32" else MAX_TIPPED)


def test_weights_that_half_precision_holds_are_kept_in_it(shipped: Path) -> None:
    checkpoint = (DEMO_FOLDER / "model.safetensors").stat().st_size
    assert (shipped.parent / "model.onnx.data").stat().st_size < 1.1 * checkpoint
