"""LASR as it is exported: the weights and the sums of transformers' LasrForCTC, in fewer operators.

What transformers writes for training and for every device, a CPU runs slowly. Here rotary positions and
attention are ONNX Runtime's own operators, which take the lengths instead of a mask; a convolution over
single frames is a product, one with a stride a sum of products; batch normalisation is folded into the
convolution before it, which has an axis more, for which ONNX Runtime has the faster kernel. What multiplies a
residual is divided out: norms do not feel it. ``export`` compares the result with the original before it may
be used.

Source of the architecture: modeling_lasr.py of transformers; Conformer (arXiv:2005.08100); RoPE (2104.09864).
"""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers.activations import SiLUActivation

from medasr_service.engines.int8 import DOMAIN, Int8Products, beginning

SILU_LEAST = -0.27846455  # the least value of x * sigmoid(x)
ANY = float("-inf")  # the least value of what may be anything

Products: TypeAlias = Callable[[Sequence[nn.Linear], float, float], nn.Module]
"""Chooses the arithmetic of the products of one input, from their weights, the least value that the input can
have, and a factor of what comes out: [rows, in] to a list of [rows, out]. A product that has fewer inputs
than there are takes the first."""


class Exact(nn.Module):
    def __init__(self, linears: Sequence[nn.Linear], _least: float, factor: float) -> None:
        super().__init__()
        self.weights = nn.ParameterList(each.weight.T.contiguous() for each in linears)
        self.biases, self.factor = [each.bias for each in linears], factor

    def forward(self, rows: Tensor) -> list[Tensor]:
        products = (beginning(rows, len(weight)) @ weight for weight in self.weights)
        scaled = (each if self.factor == 1 else each * self.factor for each in products)
        return [
            each if bias is None else each + bias * self.factor
            for each, bias in zip(scaled, self.biases, strict=True)
        ]


PRECISIONS: dict[str, Products] = {"fp32": Exact, "int8": Int8Products}


class Network(nn.Module):
    """features float32 [batch, frames, mel bins], lengths int64 [batch] in frames -> log-posteriors
    float32 [batch, output frames, vocabulary]; rows past a length are without meaning.

    In every precision the first and the last products, a hundredth of the work, stay exact: what they lose,
    no other layer makes good. Between them all is [batch * frames, channels].
    """

    inverse_frequencies: Tensor

    def __init__(self, model: Any, precision: str) -> None:
        super().__init__()
        products = PRECISIONS[precision]
        encoder, config = model.encoder, model.config.encoder_config
        self.subsampler = _Subsampler(encoder.subsampler, products)
        self.kernel, self.stride = config.subsampling_conv_kernel_size, config.subsampling_conv_stride
        self.blocks = nn.ModuleList(_Block(layer, products) for layer in encoder.layers)
        self.out_norm = encoder.out_norm
        self.head = _pointwise(model.ctc_head)
        self.register_buffer("inverse_frequencies", encoder.rotary_emb.inv_freq.float(), persistent=False)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.subsampler(features)
        for _ in range(2):
            lengths = (lengths - self.kernel) // self.stride + 1
        frames = torch.arange(hidden.shape[1])
        keep = (frames < lengths[:, None])[:, :, None].to(hidden.dtype).flatten(0, 1)
        angles = frames[:, None].float() * self.inverse_frequencies
        rotation = torch.cos(angles), torch.sin(angles)  # each [frames, head size / 2]
        lengths = lengths.to(torch.int32)
        shape = hidden.shape[:2]
        hidden = hidden.flatten(0, 1)
        for block in self.blocks:
            hidden = block(hidden, shape, keep, lengths, rotation)
        posteriors: Tensor = self.head(self.out_norm(hidden)).log_softmax(dim=-1).unflatten(0, shape)
        return posteriors


class _Subsampler(nn.Module):
    """[batch, features, mel bins] to [batch, frames, channels]."""

    def __init__(self, subsampler: Any, products: Products) -> None:
        super().__init__()
        self.first, self.last = subsampler.dense_0, subsampler.dense_1
        self.convolutions = nn.ModuleList(
            _Strided(each, products) for each in (subsampler.conv_0, subsampler.conv_1)
        )
        self.together = subsampler.conv_0.stride[0] * subsampler.conv_1.stride[0]

    def forward(self, features: Tensor) -> Tensor:
        batch, count, bins = features.shape
        whole = (count + self.together - 1) // self.together * self.together
        padding = torch.zeros(batch, self.together - 1, bins)  # what there is more makes no frame
        hidden = self.first(torch.cat([features, padding], dim=1)[:, :whole]).relu()
        for convolution in self.convolutions:
            hidden = convolution(hidden).relu()
        frames: Tensor = self.last(hidden)
        return frames


class _Strided(nn.Module):
    """A convolution over frames: of as many frames as its stride all inputs make one row, which is multiplied
    for each place that it can have under the kernel; the rows before and after are added."""

    def __init__(self, conv: Any, products: Products) -> None:
        super().__init__()
        (self.stride,) = conv.stride
        parts = conv.weight.split(self.stride, dim=2)  # each [out, in, frames]
        biases = [conv.bias, *(None for _ in parts[1:])]
        linears = [
            _linear(part.transpose(1, 2).flatten(1), bias) for part, bias in zip(parts, biases, strict=True)
        ]
        self.products = products(linears, 0.0, 1.0)

    def forward(self, hidden: Tensor) -> Tensor:
        """[batch, frames, in], the frames a multiple of the stride."""
        batch, frames, _ = hidden.shape
        rows = frames // self.stride
        parts = self.products(hidden.reshape(batch * rows, -1))
        count = rows - len(parts) + 1
        moved = [part.unflatten(0, (batch, rows))[:, at : at + count] for at, part in enumerate(parts)]
        total: Tensor = functools.reduce(torch.add, moved)
        return total


class _Block(nn.Module):
    """A Conformer block, in which the sum that runs through it is divided by what the original multiplies it
    with: what is added has that as a factor, norms have it in their epsilon."""

    def __init__(self, layer: Any, products: Products) -> None:
        super().__init__()
        kept, added = layer.feed_forward_residual_weights
        kept_conv, added_conv = layer.conv_residual_weights
        shares = kept, kept, kept * kept_conv, kept * kept_conv * kept  # the divisor after each addition
        self.ff1 = _FeedForward(layer.norm_feed_forward1, layer.feed_forward1, products, added / shares[0])
        self.attention = _Attention(
            _divided(layer.norm_self_att, shares[0]), layer.self_attn, products, 1 / shares[1]
        )
        self.conv = _Convolution(
            _divided(layer.norm_conv, shares[1]), layer.conv, products, added_conv / shares[2]
        )
        self.ff2 = _FeedForward(
            _divided(layer.norm_feed_forward2, shares[2]), layer.feed_forward2, products, added / shares[3]
        )
        self.norm_out = _divided(layer.norm_out, shares[3])

    def forward(
        self,
        hidden: Tensor,
        shape: torch.Size,
        keep: Tensor,
        lengths: Tensor,
        rotation: tuple[Tensor, Tensor],
    ) -> Tensor:
        hidden = hidden + self.ff1(hidden)
        hidden = hidden + self.attention(hidden, shape, lengths, rotation)
        hidden = hidden + self.conv(hidden, shape, keep)
        hidden = hidden + self.ff2(hidden)
        normed: Tensor = self.norm_out(hidden)
        return normed


class _Attention(nn.Module):
    """Exists to be exported: in torch itself it gives shapes, not values."""

    first: Tensor  # the position of the first frame

    def __init__(self, norm: nn.Module, attention: Any, products: Products, factor: float) -> None:
        super().__init__()
        self.norm, self.out = norm, products([attention.o_proj], ANY, factor)
        self.heads, self.scaling = attention.q_proj.out_features // attention.head_dim, attention.scaling
        self.projections = products([attention.q_proj, attention.k_proj, attention.v_proj], ANY, 1.0)
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    def forward(
        self, hidden: Tensor, shape: torch.Size, lengths: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> Tensor:
        query, key, value = (each.unflatten(0, shape) for each in self.projections(self.norm(hidden)))
        heard = torch.onnx.ops.symbolic(
            f"{DOMAIN}::MultiHeadAttention",
            (self._rotated(query, rotation), self._rotated(key, rotation), value, None, lengths),
            {"num_heads": self.heads, "scale": self.scaling},
            dtype=hidden.dtype,
            shape=value.shape,
            version=1,
        )
        projected: Tensor = self.out(heard.flatten(0, 1))[0]
        return projected

    def _rotated(self, heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::RotaryEmbedding",
            (heads, self.first, *rotation),
            {"num_heads": self.heads},
            dtype=heads.dtype,
            shape=heads.shape,
            version=1,
        )


class _Convolution(nn.Module):
    """Exists to be exported: in torch itself it gives shapes, not values."""

    bias: Tensor | None

    def __init__(self, norm: nn.Module, conv: Any, products: Products, factor: float) -> None:
        super().__init__()
        self.norm, self.activation = norm, conv.activation
        self.widen = products(_halves(_pointwise(conv.pointwise_conv1)), ANY, 1.0)
        self.narrow = products([_pointwise(conv.pointwise_conv2)], _least(conv.activation), factor)
        depthwise = nn.utils.fuse_conv_bn_eval(conv.depthwise_conv, conv.norm)
        self.weight, self.bias = nn.Parameter(depthwise.weight[:, :, None]), depthwise.bias
        before = (self.weight.shape[3] - 1) // 2
        self.padding = before, self.weight.shape[3] - 1 - before

    def forward(self, hidden: Tensor, shape: torch.Size, keep: Tensor) -> Tensor:
        content, gate = self.widen(self.norm(hidden))
        hidden = (content * gate.sigmoid() * keep).unflatten(0, shape)
        narrowed: Tensor = self.narrow(self.activation(self._depthwise(hidden).flatten(0, 1)))[0]
        return narrowed

    def _depthwise(self, hidden: Tensor) -> Tensor:
        """Over frames as the second axis of a picture of height 1: ONNX Runtime has kernels for those."""
        picture = hidden.unsqueeze(1).permute(0, 3, 1, 2)
        folded = torch.onnx.ops.symbolic(
            "Conv",
            (picture, self.weight, self.bias),
            {
                "group": picture.shape[1],
                "kernel_shape": [1, self.weight.shape[3]],
                "pads": [0, self.padding[0], 0, self.padding[1]],
            },
            dtype=hidden.dtype,
            shape=picture.shape,
            version=11,
        )
        return folded.permute(0, 2, 3, 1).squeeze(1)


class _FeedForward(nn.Module):
    def __init__(self, norm: nn.Module, layer: Any, products: Products, factor: float) -> None:
        super().__init__()
        self.norm, self.activation = norm, layer.activation
        self.widen = products([layer.linear1], ANY, 1.0)
        self.narrow = products([layer.linear2], _least(layer.activation), factor)

    def forward(self, hidden: Tensor) -> Tensor:
        [wide] = self.widen(self.norm(hidden))
        narrow: Tensor = self.narrow(self.activation(wide))[0]
        return narrow


def _divided(norm: Any, divisor: float) -> nn.Module:
    """The norm of what has been divided."""
    copied: nn.Module = copy.copy(norm)
    copied.eps = norm.eps / divisor**2
    return copied


def _least(activation: nn.Module) -> float:
    return SILU_LEAST if isinstance(activation, nn.SiLU | SiLUActivation) else ANY


def _pointwise(conv: Any) -> nn.Linear:
    """A convolution over single frames, as a product."""
    return _linear(conv.weight[:, :, 0], conv.bias)


def _halves(linear: nn.Linear) -> list[nn.Linear]:
    """The two products that make the first and the second half of what comes out."""
    biases = (None, None) if linear.bias is None else linear.bias.chunk(2)
    return [_linear(*each) for each in zip(linear.weight.chunk(2), biases, strict=True)]


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias)
    return linear
