"""A LASR checkpoint to ONNX: features and lengths in, log-posteriors out. Runs in a process of its own.

python -m medasr_service.engines.export FOLDER fp32 model.onnx
"""

import argparse
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from transformers import AutoModelForCTC
from transformers.utils import logging

from medasr_service.engines.network import PRECISIONS, Network

OPSET = 20
MIN_FEATURES = 13  # the fewest feature frames that make one output frame
FEWEST = 1024  # values of a tensor that is worth an operator of its own
MAX_DIFFERENCE = 1e-3  # between the two networks in fp32, in log-posteriors
MAX_MOVED = (
    0.5  # of the probability by which two moments of the original differ: 0.11 on sharp random weights
)
LEAST_AGREEMENT, SURE = (
    0.9,
    0.9,
)  # in int8: frames of which the original is so sure, and that stay what they are


def export(folder: Path, file: Path, precision: str) -> None:
    """Writes ``file``, its weights beside it, and checks both against transformers' network on noise.

    Inputs: features float32 [batch, frames, mel bins], lengths int64 [batch]; any batch and length.
    Output: log_posteriors float32 [batch, output frames, vocabulary]. Raises RuntimeError when the networks
    differ.
    """
    logging.disable_progress_bar()
    model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32).eval()
    bins = model.config.encoder_config.num_mel_bins
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("frames", min=MIN_FEATURES)}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            Network(model, precision).eval(),
            (torch.zeros(2, 400, bins), torch.tensor([400, 390])),
            dynamo=True,
            dynamic_shapes=(axes, {0: axes[0]}),
            input_names=["features", "lengths"],
            output_names=["log_posteriors"],
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        program.save(str(file), external_data=True)
        _save(_halved(_bare(onnx.load(file))), file)
        _compare(model, file, bins, precision)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes on where each operator came from: they are most of the file."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    return model


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights that half precision holds exactly, kept in it and cast when they are loaded: the artefact of
    such a checkpoint has half the size, and the same values."""
    graph, kept = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= FEWEST and _fits_half(values):
            name = f"{tensor.name}.half"
            kept.append(numpy_helper.from_array(values.astype(np.float16), name))
            cast = helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT)
            graph.node.insert(0, cast)
        else:
            kept.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def _fits_half(values: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and so is not equal
        return bool(np.array_equal(values.astype(np.float16).astype(np.float32), values))


def _save(model: onnx.ModelProto, file: Path) -> None:
    """The graph, and its weights beside it."""
    weights = file.with_name(f"{file.name}.data")
    weights.unlink(missing_ok=True)  # onnx appends to one that is there
    onnx.save(model, file, save_as_external_data=True, location=weights.name, size_threshold=FEWEST)
    weights.chmod(file.stat().st_mode)  # onnx lets its owner alone read it


def _compare(model: Any, file: Path, bins: int, precision: str) -> None:
    """Two items of one batch, one of them padded, and the shortest that there is."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    for lengths in ([MIN_FEATURES], [333, 250]):
        features = _log_mel(len(lengths), max(lengths), bins)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        expected = model(input_features=features, attention_mask=mask).logits.log_softmax(dim=-1).numpy()
        [got] = session.run(None, {"features": features.numpy(), "lengths": np.array(lengths)})
        for row, length in enumerate(lengths):
            frames = got.shape[1] * length // max(lengths) - 1 if length < max(lengths) else None
            check(expected[row, :frames], got[row, :frames], precision)


def _log_mel(items: int, frames: int, bins: int) -> torch.Tensor:
    """What log-mel spectrograms are like: slow changes in time and pitch, some noise, and a floor."""
    coarse = torch.randn(items, 1, frames // 8 + 2, bins // 8 + 2)
    slow = torch.nn.functional.interpolate(coarse, size=(frames, bins), mode="bilinear")[:, 0]
    return (-5 + 3.5 * slow + 0.7 * torch.randn(items, frames, bins)).clamp(min=math.log(1e-5))


def check(expected: NDArray[np.float32], got: NDArray[np.float32], precision: str) -> None:
    """Raises RuntimeError where the log-posteriors, [frames, vocabulary], are not the original's.

    In int8 it is the probability that counts, not the logarithm of what is next to impossible: how much of it
    has moved, against how much the original moves from one moment to another, and what is surely heard.
    """
    if precision != "int8":
        difference = float(np.abs(got - expected).max())
        if not difference < MAX_DIFFERENCE:
            raise RuntimeError(f"the exported network differs from the original by {difference:.1e}")
        return
    before, after = np.exp(expected), np.exp(got)
    moved = float(np.abs(before - after).sum(axis=1).mean())
    usual = float(np.abs(before - np.roll(before, len(before) // 2, axis=0)).sum(axis=1).mean())
    sure = before.max(axis=1) >= SURE
    agreeing = float((before.argmax(axis=1) == after.argmax(axis=1))[sure].mean()) if sure.any() else 1.0
    few = len(before) < 10  # the shortest item: too few frames to say what is usual
    if not (np.isfinite(moved) and (few or moved < MAX_MOVED * usual) and agreeing >= LEAST_AGREEMENT):
        raise RuntimeError(
            f"the network in int8 differs from the original ({100 * moved / 2:.0f} % of the probability"
            f" moved, {100 * agreeing:.0f} % of what is surely heard stayed): use fp32"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Export a LASR checkpoint to ONNX.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("precision", choices=PRECISIONS)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    export(arguments.folder, arguments.file, arguments.precision)
