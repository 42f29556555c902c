"""A small model of MedASR's architecture (LASR Conformer-CTC), initialised for training."""

import numpy as np
import numpy.typing as npt
import torch
from transformers import LasrCTCConfig, LasrEncoderConfig, LasrForCTC

HIDDEN_SIZE = 144
LAYERS = 6
KERNEL = 5  # of both subsampling convolutions, stride 2, no padding
SUBSAMPLING = 4
# For a model whose weights are loaded next: a mean of 0 and a deviation of 1 for each mel bin.
UNIT_STATISTICS = (np.zeros(128, np.float32), np.ones(128, np.float32))


def build(
    vocabulary_size: int,
    mean: npt.NDArray[np.float32],
    deviation: npt.NDArray[np.float32],
    hidden_size: int = HIDDEN_SIZE,
    layers: int = LAYERS,
) -> LasrForCTC:
    """A fresh model; the mean and deviation (128,) of the features are folded into its first layer.

    The weights start from PyTorch's defaults: LASR's own deviation of 0.02 learns worse.
    """
    encoder = LasrEncoderConfig(
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden_size,
        conv_kernel_size=32,
        subsampling_conv_channels=2 * hidden_size // 3,
        dropout=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
        layerdrop=0.0,
    )
    config = LasrCTCConfig(
        vocab_size=vocabulary_size,
        pad_token_id=0,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        encoder_config=encoder,
    )
    model = LasrForCTC(config)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv1d):
            module.reset_parameters()
    with torch.no_grad():
        first = model.encoder.subsampler.dense_0
        first.weight /= torch.from_numpy(deviation)
        first.bias -= first.weight @ torch.from_numpy(mean)
    return model


def output_frames(frames: int) -> int:
    """Frames of 40 ms that the model gives for `frames` of 10 ms."""
    for _ in range(2):
        frames = (frames - KERNEL) // 2 + 1
    return max(0, frames)
