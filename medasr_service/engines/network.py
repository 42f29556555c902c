"""LASR as it is exported: the weights and the sums of transformers' LasrForCTC, in fewer operators.

What transformers writes for training and for every device, a CPU runs slowly. Here the projections of query,
key and value are one product; rotary positions and attention are ONNX Runtime's own operators, which take the
lengths instead of a mask; a convolution over single frames is a product; batch normalisation is folded into
the convolution before it. ``export`` compares the result with the original before it may be used.

Source of the architecture: modeling_lasr.py of transformers; Conformer (arXiv:2005.08100); RoPE (2104.09864).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers.activations import SiLUActivation

from medasr_service.engines.int8 import DOMAIN, Int8Linear

SILU_LEAST = -0.27846455  # the least value of x * sigmoid(x)

Product: TypeAlias = Callable[[nn.Linear, float], nn.Module]
"""Chooses the arithmetic of a product, from its weights and the least value that its input can have."""


def exact(linear: nn.Linear, _least: float) -> nn.Module:
    return linear


PRECISIONS: dict[str, Product] = {"fp32": exact, "int8": Int8Linear}


class Network(nn.Module):
    """features float32 [batch, frames, mel bins], lengths int64 [batch] in frames -> log-posteriors
    float32 [batch, output frames, vocabulary]; rows past a length are without meaning.

    In every precision the first and the last layers, a hundredth of the work, stay exact: what they lose, no
    other layer makes good.
    """

    inverse_frequencies: Tensor

    def __init__(self, model: Any, precision: str) -> None:
        super().__init__()
        product = PRECISIONS[precision]
        encoder, config = model.encoder, model.config.encoder_config
        self.subsampler = encoder.subsampler
        self.kernel, self.stride = config.subsampling_conv_kernel_size, config.subsampling_conv_stride
        self.blocks = nn.ModuleList(_Block(layer, product) for layer in encoder.layers)
        self.out_norm = encoder.out_norm
        self.head = _pointwise(model.ctc_head)
        self.register_buffer("inverse_frequencies", encoder.rotary_emb.inv_freq.float(), persistent=False)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.subsampler(features)
        for _ in range(2):
            lengths = (lengths - self.kernel) // self.stride + 1
        frames = torch.arange(hidden.shape[1])
        keep = (frames < lengths[:, None])[:, :, None].to(hidden.dtype)
        angles = frames[:, None].float() * self.inverse_frequencies
        rotation = torch.cos(angles), torch.sin(angles)  # each [frames, head size / 2]
        lengths = lengths.to(torch.int32)
        for block in self.blocks:
            hidden = block(hidden, keep, lengths, rotation)
        posteriors: Tensor = self.head(self.out_norm(hidden)).log_softmax(dim=-1)
        return posteriors


class _Block(nn.Module):
    def __init__(self, layer: Any, product: Product) -> None:
        super().__init__()
        self.ff1 = _feed_forward(layer.norm_feed_forward1, layer.feed_forward1, product)
        self.ff2 = _feed_forward(layer.norm_feed_forward2, layer.feed_forward2, product)
        self.attention = _Attention(layer.norm_self_att, layer.self_attn, product)
        self.conv = _Convolution(layer.norm_conv, layer.conv, product)
        self.norm_out = layer.norm_out
        self.ff_weights, self.conv_weights = layer.feed_forward_residual_weights, layer.conv_residual_weights

    def forward(
        self, hidden: Tensor, keep: Tensor, lengths: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> Tensor:
        own, added = self.ff_weights
        hidden = own * hidden + added * self.ff1(hidden)
        hidden = hidden + self.attention(hidden, lengths, rotation)
        own_conv, added_conv = self.conv_weights
        hidden = own_conv * hidden + added_conv * self.conv(hidden, keep)
        hidden = own * hidden + added * self.ff2(hidden)
        normed: Tensor = self.norm_out(hidden)
        return normed


class _Attention(nn.Module):
    """Exists to be exported: in torch itself it gives shapes, not values."""

    first: Tensor  # the position of the first frame

    def __init__(self, norm: nn.Module, attention: Any, product: Product) -> None:
        super().__init__()
        self.norm, self.out = norm, product(attention.o_proj, float("-inf"))
        self.heads, self.scaling = attention.q_proj.out_features // attention.head_dim, attention.scaling
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        bias = None if parts[0].bias is None else torch.cat([part.bias for part in parts])
        self.projection = product(_linear(torch.cat([part.weight for part in parts]), bias), float("-inf"))
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    def forward(self, hidden: Tensor, lengths: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = self.projection(self.norm(hidden)).chunk(3, dim=-1)
        heard = torch.onnx.ops.symbolic(
            f"{DOMAIN}::MultiHeadAttention",
            (self._rotated(query, rotation), self._rotated(key, rotation), value, None, lengths),
            {"num_heads": self.heads, "scale": self.scaling},
            dtype=hidden.dtype,
            shape=value.shape,
            version=1,
        )
        projected: Tensor = self.out(heard)
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
    def __init__(self, norm: nn.Module, conv: Any, product: Product) -> None:
        super().__init__()
        self.norm, self.activation = norm, conv.activation
        self.widen = product(_pointwise(conv.pointwise_conv1), float("-inf"))
        self.narrow = product(_pointwise(conv.pointwise_conv2), _least(conv.activation))
        self.depthwise = nn.utils.fuse_conv_bn_eval(conv.depthwise_conv, conv.norm)

    def forward(self, hidden: Tensor, keep: Tensor) -> Tensor:
        content, gate = self.widen(self.norm(hidden)).chunk(2, dim=-1)
        hidden = content * gate.sigmoid() * keep
        hidden = self.activation(self.depthwise(hidden.transpose(1, 2)))
        narrowed: Tensor = self.narrow(hidden.transpose(1, 2))
        return narrowed


def _feed_forward(norm: nn.Module, layer: Any, product: Product) -> nn.Sequential:
    widen = product(layer.linear1, float("-inf"))
    return nn.Sequential(norm, widen, layer.activation, product(layer.linear2, _least(layer.activation)))


def _least(activation: nn.Module) -> float:
    return SILU_LEAST if isinstance(activation, nn.SiLU | SiLUActivation) else float("-inf")


def _pointwise(conv: Any) -> nn.Linear:
    """A convolution over single frames, as a product."""
    return _linear(conv.weight[:, :, 0], conv.bias)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias)
    return linear
