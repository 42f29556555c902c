"""The faster precisions against fp32: the text of every clip, and what a CPU may not change in silence."""

import warnings
from itertools import zip_longest
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError

from medasr_service import engines, settings
from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines import Engine, cpu
from medasr_service.engines.int8 import Int8Products
from medasr_service.engines.network import SILU_LEAST
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.errors import ModelUnavailable
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from tests.conftest import CLIPS

MIN_TOKEN_AGREEMENT = 0.998
MAX_MOVED = 0.02  # of the posterior mass of a frame, on average


@pytest.fixture(scope="module")
def int8(demo: Checkpoint) -> Engine:
    return engines.load(demo, Settings(precision="int8"))


@pytest.fixture(scope="module", params=["int8", "bf16"])
def faster(request: pytest.FixtureRequest, demo: Checkpoint) -> Engine:
    return engines.load(demo, Settings(precision=request.param))


@pytest.fixture(scope="module")
def exact(engine: TorchCTC) -> list[Emission]:
    return engine.infer([clip.waveform for clip in CLIPS])


def test_a_faster_precision_has_the_tokens_of_the_reference(
    faster: Engine, exact: list[Emission], vocabulary: Vocabulary
) -> None:
    pairs = []
    for got, expected in zip(faster.infer([clip.waveform for clip in CLIPS]), exact, strict=True):
        tokens = [[token.id for token in ctc.greedy(each, vocabulary)] for each in (got, expected)]
        pairs += list(zip_longest(*tokens))
    agreeing = sum(got == expected for got, expected in pairs)
    assert len(pairs) > 200
    assert agreeing >= MIN_TOKEN_AGREEMENT * len(pairs)


def test_int8_really_rounds_and_stays_near(int8: Engine, exact: list[Emission]) -> None:
    got = int8.infer([clip.waveform for clip in CLIPS])
    moved = [np.abs(np.exp(a) - np.exp(b)).sum(axis=1).mean() for a, b in zip(got, exact, strict=True)]
    assert 1e-5 < np.mean(moved) < MAX_MOVED


def test_in_int8_a_recording_alone_has_the_tokens_that_it_has_in_a_batch(
    int8: Engine, vocabulary: Vocabulary
) -> None:
    """Not the same posteriors: a sum in another order can tip a rounding."""
    waveforms = [clip.waveform for clip in CLIPS]
    for waveform, together in zip(waveforms, int8.infer(waveforms), strict=True):
        [alone] = int8.infer([waveform])
        tokens = [[token.id for token in ctc.greedy(each, vocabulary)] for each in (alone, together)]
        assert tokens[0] == tokens[1]
        assert np.abs(np.exp(alone) - np.exp(together)).sum(axis=1).mean() < MAX_MOVED


def product(linear: torch.nn.Linear, least: float, hidden: Waveform, folder: Path) -> Waveform:
    """What ONNX Runtime makes of it, [rows, in] to [rows, out]."""
    products = Int8Products([linear], least, 1.0).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(products, (torch.from_numpy(hidden),), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(folder / "product.onnx"))
    session = onnxruntime.InferenceSession(folder / "product.onnx", providers=["CPUExecutionProvider"])
    [got] = session.run(None, {session.get_inputs()[0].name: hidden})
    return np.asarray(got)


@pytest.mark.parametrize("least", [float("-inf"), SILU_LEAST, 0.0])
def test_a_product_in_int8_is_exact_to_a_hundredth_for_quiet_frames_too(
    tmp_path: Path, rng: np.random.Generator, least: float
) -> None:
    """A range for all frames together, which the loud one would set, leaves nothing of the quiet ones."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(256, 64)
    hidden = rng.normal(0, 1, (40, 256)).astype(np.float32)
    hidden[0] *= 1000
    hidden = np.maximum(hidden, least, dtype=np.float32)
    got = product(linear, least, hidden, tmp_path)
    expected = linear(torch.from_numpy(hidden)).detach().numpy()
    error = np.abs(got - expected).mean(axis=-1) / np.abs(expected).mean(axis=-1)
    assert 0 < error.max() < 0.015


def test_the_largest_sums_of_int8_are_exact_on_this_cpu(tmp_path: Path) -> None:
    """x86 without VNNI adds two products in 16 bits, and would stop at 32,767 without a word."""
    linear = torch.nn.Linear(64, 32, bias=False)
    linear.weight.data = torch.full((32, 64), 0.5)
    hidden = np.full((8, 64), 3.0, np.float32)  # with least = 0 each becomes LARGEST, each weight WEIGHT
    got = product(linear, 0.0, hidden, tmp_path)
    assert np.abs(got / (64 * 0.5 * 3.0) - 1).max() < 1e-6


def test_an_int8_artefact_is_a_third_of_the_weights_in_fp32(demo: Checkpoint) -> None:
    file = engines.prepare(demo, Settings(precision="int8"))
    fp32 = 2 * (demo.folder / "model.safetensors").stat().st_size  # the checkpoint is in half precision
    assert file.with_suffix(".onnx.data").stat().st_size < fp32 / 2.5


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"precision": "fp16"}, "overflow"),
        ({"precision": "int4"}, "'fp32', 'bf16' or 'int8'"),
        ({"precision": "bf16", "engine": "onnx"}, "engine onnx runs in fp32 or int8 here"),
        ({"precision": "int8", "engine": "torch"}, "engine torch runs in fp32 or bf16"),
        ({"engine": "tensorrt"}, "'auto', 'onnx' or 'torch'"),
    ],
)
def test_a_precision_that_cannot_be_trusted_or_run_is_refused(choice: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Settings.model_validate(choice)


def test_bf16_is_the_artefact_of_fp32_run_in_another_way_where_the_cpu_is_arm64(
    demo: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ONNX_PRECISIONS", (*settings.ONNX_PRECISIONS, "bf16"))
    chosen = Settings(precision="bf16")
    assert chosen.resolved_engine == "onnx"
    monkeypatch.setattr(cpu, "has_bf16", lambda: True)
    assert engines.prepare(demo, chosen) == engines.prepare(demo, Settings())
    assert engines.load(demo, chosen).name == "onnxruntime bf16"


def test_where_the_cpu_has_no_bf16_it_is_refused_and_not_run_as_fp32(
    demo: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ONNX_PRECISIONS", (*settings.ONNX_PRECISIONS, "bf16"))
    monkeypatch.setattr(cpu, "has_bf16", lambda: False)
    with pytest.raises(ModelUnavailable, match=r"this one has none: use int8 or fp32$"):
        engines.load(demo, Settings(precision="bf16"))
