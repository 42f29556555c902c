"""Products of 8-bit integers that keep what the network hears: see docs/performance.md, "Precision".

Weights are rounded by output channel, activations by frame, each to its own range: a loud frame does not
coarsen a quiet one, nor one recording another in its batch. Sums are exact. What an activation
function has bounded from below (SiLU) is shifted to begin at zero, and so gets the whole range of a byte.
"""

import math

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from medasr_service.engines import saturation

TINY = 1e-9  # a frame of zeros
DOMAIN = "com.microsoft"  # of ONNX Runtime's own operators
FLIP = 0x80  # signed to unsigned, with the zero at 128


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
        scale = weight.abs().amax(dim=1).clamp(min=TINY) / saturation.WEIGHT
        rounded = (weight / scale[:, None]).round()
        self.shift = -least if math.isfinite(least) else 0.0
        self.top, zero = (255.0, 0) if self.shift else (127.0, 128)
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


def unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network over the same external data, for a CPU whose signed products saturate.

    There the bytes of each weight are read as unsigned and turned over once, when the network is loaded; the
    sums are the same, exactly, and slower.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    initializers = {each.name: each for each in graph.initializer}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(FLIP, np.uint8), name) for name in ("flip", "weight_zero")
    )
    flips = []
    for node in graph.node:
        if node.op_type == "MatMulIntegerToFloat":
            weight = initializers[node.input[1]]
            weight.data_type = TensorProto.UINT8
            flipped = f"{weight.name}_unsigned"
            flips.append(helper.make_node("BitwiseXor", [weight.name, "flip"], [flipped]))
            node.input[1] = flipped
            node.input.append("weight_zero")
    nodes = [*flips, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def probe() -> onnx.ModelProto:
    """A product of the largest values: a CPU that saturates gives less than saturation.SUM."""
    rows, inner, columns = saturation.SHAPE
    weight = np.full((inner, columns), saturation.WEIGHT, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["bytes", "weight"], ["sums"])],
        "probe",
        [helper.make_tensor_value_info("bytes", TensorProto.UINT8, (rows, inner))],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, (rows, columns))],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
