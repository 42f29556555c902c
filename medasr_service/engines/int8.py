"""Products of 8-bit integers that keep what the network hears: see docs/performance.md, "Precision".

Weights are rounded by output channel, activations by frame, each to its own range: a loud frame does not
coarsen a quiet one, nor one recording another in its batch. Weights keep 129 of a byte's 256 levels, so that
sums are exact on every CPU. What an activation function has bounded from below (SiLU) is shifted to begin at
zero, and so gets the whole range of a byte.
"""

import math

import torch
from torch import Tensor, nn

TINY = 1e-9  # a frame of zeros
DOMAIN = "com.microsoft"  # of ONNX Runtime's own operators
LARGEST = 255  # of a rounded activation
PAIR = (1 << 15) - 1  # where a CPU without VNNI stops: it adds two products in 16 bits
WEIGHT = PAIR // (2 * LARGEST)  # the largest of a rounded weight, 64: no pair of products is beyond


class Int8Linear(nn.Module):
    """nn.Linear in 8-bit integers. Exists to be exported: in torch itself it gives shapes, not values."""

    weight: Tensor  # int8 [in, out]
    scale: Tensor  # [out]
    bias: Tensor | None  # [out]
    one: Tensor
    zero: Tensor

    def __init__(self, linear: nn.Linear, least: float) -> None:
        """``least``: the least value that the input can have; minus infinity where none is known."""
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=TINY) / WEIGHT
        rounded = (weight / scale[:, None]).round()
        self.shift = -least if math.isfinite(least) else 0.0
        self.top, zero = (float(LARGEST), 0) if self.shift else (127.0, 128)
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        bias = bias - self.shift * (rounded.sum(dim=1) * scale)
        self.register_buffer("weight", rounded.to(torch.int8).T.contiguous())
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias if bias.any() else None)
        self.register_buffer("one", torch.ones(()))
        self.register_buffer("zero", torch.tensor(zero, dtype=torch.uint8))

    def forward(self, hidden: Tensor) -> Tensor:
        shifted = hidden + self.shift if self.shift else hidden
        peak = (shifted if self.shift else shifted.abs()).amax(dim=-1, keepdim=True).clamp(min=TINY)
        scaled = shifted * (self.top / peak)
        rounded = torch.onnx.ops.symbolic(
            "QuantizeLinear", (scaled, self.one, self.zero), dtype=torch.uint8, shape=scaled.shape, version=20
        )
        product = torch.onnx.ops.symbolic(
            f"{DOMAIN}::MatMulIntegerToFloat",
            (rounded, self.weight, self.one, self.scale, self.zero),
            dtype=torch.float32,
            shape=(*scaled.shape[:-1], self.weight.shape[1]),
            version=1,
        )
        product = product * (peak / self.top)
        return product if self.bias is None else product + self.bias
