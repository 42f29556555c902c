"""A LASR checkpoint to ONNX: features and mask in, log-posteriors out. Runs in a process of its own.

python -m medasr_service.engines.export FOLDER model.onnx
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForCTC
from transformers.utils import logging

OPSET = 20
MIN_FEATURES = 13  # the fewest feature frames that make one output frame
MAX_DIFFERENCE = 1e-3  # between the two networks, in log-posteriors


class _LogPosteriors(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_features=features, attention_mask=mask).logits
        return logits.log_softmax(dim=-1)


def export(folder: Path, file: Path) -> None:
    """Writes ``file`` and its weights beside it, and checks both against torch on noise.

    Inputs: features float32 [batch, frames, mel bins], mask bool [batch, frames]; any batch and length.
    Output: log_posteriors float32 [batch, output frames, vocabulary]. Raises RuntimeError when they differ.
    """
    logging.disable_progress_bar()
    model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32).eval()
    network = _LogPosteriors(model).eval()
    bins = model.config.encoder_config.num_mel_bins
    example = torch.zeros(2, 400, bins), torch.ones(2, 400, dtype=torch.bool)
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("frames", min=MIN_FEATURES)}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            dynamic_shapes=(axes, axes),
            input_names=["features", "mask"],
            output_names=["log_posteriors"],
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        program.save(str(file), external_data=True)
        _compare(network, file, bins)


def _compare(network: _LogPosteriors, file: Path, bins: int) -> None:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    for batch, frames in ((1, MIN_FEATURES), (3, 333)):
        features, mask = torch.randn(batch, frames, bins), torch.ones(batch, frames, dtype=torch.bool)
        expected = network(features, mask).numpy()
        [got] = session.run(None, {"features": features.numpy(), "mask": mask.numpy()})
        difference = float(np.abs(got - expected).max())
        if not difference < MAX_DIFFERENCE:
            raise RuntimeError(f"the exported network differs from the original by {difference:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Export a LASR checkpoint to ONNX.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    export(arguments.folder, arguments.file)
