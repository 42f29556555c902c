"""A LASR checkpoint to ONNX: features and lengths in, log-posteriors out. Runs in a process of its own.

python -m medasr_service.engines.export FOLDER fp32 model.onnx
"""

import argparse
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
MAX_DIFFERENCE = {"fp32": 1e-3, "int8": 2.0}  # between the two networks, in log-posteriors


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
        _compare(model, file, bins, MAX_DIFFERENCE[precision])


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


def _compare(model: Any, file: Path, bins: int, limit: float) -> None:
    """Two items of one batch, one of them padded, and the shortest that there is."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    for lengths in ([MIN_FEATURES], [333, 250]):
        features = torch.randn(len(lengths), max(lengths), bins)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        expected = model(input_features=features, attention_mask=mask).logits.log_softmax(dim=-1).numpy()
        [got] = session.run(None, {"features": features.numpy(), "lengths": np.array(lengths)})
        for row, length in enumerate(lengths):
            frames = got.shape[1] * length // max(lengths) - 1 if length < max(lengths) else None
            difference = float(np.abs(got[row, :frames] - expected[row, :frames]).max())
            if not difference < limit:
                raise RuntimeError(f"the exported network differs from the original by {difference:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Export a LASR checkpoint to ONNX.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("precision", choices=PRECISIONS)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    export(arguments.folder, arguments.file, arguments.precision)
