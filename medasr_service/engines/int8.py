"""Products of 8-bit integers that keep what the network hears: see docs/performance.md, "Precision".

Weights are rounded by output channel, activations by frame, each to its own range: a loud frame does not
coarsen a quiet one, nor one recording another in its batch. Weights keep 129 of a byte's 256 levels, so that
sums are exact on every CPU. What an activation function has bounded from below (SiLU, ReLU) leaves nearly
all levels to what is above.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

TINY = 1e-9  # a frame of zeros
DOMAIN = "com.microsoft"  # of ONNX Runtime's own operators
LARGEST = 255  # of a rounded activation
MIDDLE = 128  # what zero becomes where an activation may be anything
BELOW = 32  # what zero becomes where it is bounded from below: steps are at least a 32nd of that bound
PAIR = (1 << 15) - 1  # where a CPU without VNNI stops: it adds two products in 16 bits
WEIGHT = PAIR // (2 * LARGEST)  # the largest of a rounded weight, 64: no pair of products is beyond


class Int8Products(nn.Module):
    """Several nn.Linear of one input, in 8-bit integers; the input is rounded once. Exists to be exported: in
    torch itself it gives shapes, not values."""

    one: Tensor
    zero: Tensor

    def __init__(self, linears: Sequence[nn.Linear], least: float, factor: float) -> None:
        """``least``: the least value that the input can have; minus infinity where none is known."""
        super().__init__()
        self.weights = nn.ModuleList(_Weight(each, factor) for each in linears)
        self.bounded = math.isfinite(least)
        zero = (BELOW if least else 0) if self.bounded else MIDDLE
        self.least_step = -least / BELOW if self.bounded and least else TINY
        self.top = float(LARGEST - zero)
        self.register_buffer("one", torch.ones(()))
        self.register_buffer("zero", torch.tensor(zero, dtype=torch.uint8))

    def forward(self, rows: Tensor) -> list[Tensor]:
        peak = (rows if self.bounded else rows.abs()).amax(dim=1)
        step = (peak / self.top).clamp(min=self.least_step)
        zeros = self.zero.expand(step.shape)
        rounded = torch.onnx.ops.symbolic(
            "QuantizeLinear",
            (rows, step, zeros),
            {"axis": 0},
            dtype=torch.uint8,
            shape=rows.shape,
            version=20,
        )
        return [self._product(rounded, each, step) for each in self.weights]

    def _product(self, rounded: Tensor, weight: Any, step: Tensor) -> Tensor:
        product = torch.onnx.ops.symbolic(
            f"{DOMAIN}::MatMulIntegerToFloat",
            (beginning(rounded, len(weight.rounded)), weight.rounded, self.one, weight.scale, self.zero),
            dtype=torch.float32,
            shape=(rounded.shape[0], weight.rounded.shape[1]),
            version=1,
        )
        product = product * step[:, None]
        return product if weight.bias is None else product + weight.bias


def beginning(rows: Tensor, channels: int) -> Tensor:
    return rows if channels == rows.shape[-1] else rows[..., :channels]


class _Weight(nn.Module):
    rounded: Tensor  # int8 [in, out]
    scale: Tensor  # [out]
    bias: Tensor | None  # [out]

    def __init__(self, linear: nn.Linear, factor: float) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=TINY) / WEIGHT
        self.register_buffer("rounded", (weight / scale[:, None]).round().to(torch.int8).T.contiguous())
        self.register_buffer("scale", scale * factor)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().float() * factor)
