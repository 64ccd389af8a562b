"""The parts of Meissonic's transformer: norms, embedders, attention and its two kinds of block.

Source: Meissonic `transformer.py`; diffusers 0.31 `attention.py`, `attention_processor.py`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.networks.attention import attention
from bakeoff.samplers.networks.linear import Linear, linear, linear_gelu
from bakeoff.samplers.networks.rotary import rotate

EPS = 1e-6
SINUSOID = 256
FP16_MAX = 65504.0
Modulations = tuple[Tensor, ...]  # shifts, scales and gates, each [B, 1, D]


def sinusoid(value: Tensor) -> Tensor:
    """Return 256 channels for each number, [...] -> [..., 256]: cosines first, in float32."""
    angle = value.float()[..., None] * frequencies(value.device)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def frequencies(device: torch.device) -> Tensor:
    """Return the frequencies of `sinusoid`, falling from 1 to nearly 1/10000, float32 [128].

    Their last bits differ between processors, and timesteps in the thousands show it: by 1e-2 in
    the logits of the worst golden case.
    """
    half = SINUSOID // 2
    exponent = torch.arange(half, dtype=torch.float32, device=device) / half
    return torch.exp(-math.log(10_000.0) * exponent)


def plain_norm(x: Tensor) -> Tensor:
    """Return LayerNorm over the channels, without affine parameters."""
    return F.layer_norm(x, x.shape[-1:], eps=EPS)


class RMSNorm(nn.Module):
    """Root-mean-square norm over the channels; statistics in float32, result in x's dtype."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., D] normed."""
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + EPS)
        return normed.to(x.dtype) * self.weight.to(x.dtype)


class Pointwise(nn.Conv2d):
    """A 1×1 convolution without bias, on channels-last tokens [..., D]."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens [..., D] mapped one by one."""
        return linear(x, self.weight.flatten(1))


class Embedder(nn.Module):
    """Linear, SiLU, linear."""

    def __init__(self, in_dim: int, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.linear_1 = Linear(in_dim, dim, bias=bias)
        self.linear_2 = Linear(dim, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] for x [..., inputs], cast to the weights' dtype."""
        return self.linear_2(F.silu(self.linear_1(x.to(self.linear_1.weight.dtype))))


class TokenEmbedding(nn.Module):
    """Token ids [B, H, W] to features [B, H, W, D]."""

    def __init__(self, vocab_size: int, dim: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, dim)
        self.layer_norm = RMSNorm(dim)
        self.conv = Pointwise(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the features of token ids."""
        return self.conv(self.layer_norm(self.embeddings(tokens)))


class Resample(nn.Module):
    """Norm and a 2×2 convolution of stride 2, or its transpose, on [B, H, W, D].

    Cells of 2×2 do not overlap, so that both are matrix products on channels-last tokens.
    """

    def __init__(self, dim: int, conv: type[nn.Conv2d] | type[nn.ConvTranspose2d]) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.conv = conv(dim, dim, kernel_size=2, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, H/2, W/2, D], or [B, 2H, 2W, D] for the transpose."""
        x, weight = self.norm(x), self.conv.weight
        if isinstance(self.conv, nn.ConvTranspose2d):  # [inputs, outputs, 2, 2]
            cells = linear(x, weight.permute(2, 3, 1, 0).flatten(0, 2))  # [B, H, W, 4 D]
            return (
                cells.unflatten(-1, (2, 2, -1))
                .permute(0, 1, 3, 2, 4, 5)
                .flatten(3, 4)
                .flatten(1, 2)
            )
        cells = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).transpose(2, 3)  # [B, h, w, 2, 2, D]
        return linear(cells.flatten(3), weight.permute(0, 2, 3, 1).flatten(1))


class Modulation(nn.Module):
    """The shifts, scales and gates [B, 1, D] that a block draws from the condition vector."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.linear = Linear(dim, count * dim)

    def forward(self, vector: Tensor) -> Modulations:
        """Return `count` tensors for the condition vector [B, D]."""
        return self.linear(F.silu(vector))[:, None].chunk(self.count, dim=-1)

    def reset(self) -> None:
        """Start with no modulation and gates at a half, so that every block passes gradients."""
        nn.init.zeros_(self.linear.weight)
        bias = self.linear.bias.view(-1, 3, self.linear.in_features)  # shift, scale, gate
        bias[:, :2] = 0.0
        bias[:, 2] = 0.5


class GeluProjection(nn.Module):
    """Linear, then GELU in its tanh approximation."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.proj = Linear(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., hidden] for x [..., D]."""
        return linear_gelu(x, self.proj.weight, self.proj.bias)


class FeedForward(nn.Module):
    """The block's MLP, four times as wide inside; the empty place holds the official dropout."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GeluProjection(dim, 4 * dim), nn.Identity(), Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] for x [..., D]."""
        return self.net(x)


class SelfAttention(nn.Module):
    """Attention of one sequence on itself, queries and keys normed, without output projection."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        dim = heads * head_dim
        self.heads = heads
        self.to_q = Linear(dim, dim)
        self.to_k = Linear(dim, dim)
        self.to_v = Linear(dim, dim)
        self.norm_q = RMSNorm(head_dim)
        self.norm_k = RMSNorm(head_dim)

    def split(self, x: Tensor) -> Tensor:
        """Return [B, heads, S, hd] for x [B, S, D]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values [B, heads, S, hd] of x [B, S, D]."""
        q, k, v = (self.split(to(x)) for to in (self.to_q, self.to_k, self.to_v))
        return self.norm_q(q), self.norm_k(k), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        """Return [B, S, D] for queries, keys and values [B, heads, S, hd]."""
        mixed = attention(rotate(q, table), rotate(k, table), v)
        return mixed.transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Return [B, S, D] for x [B, S, D]."""
        return self.attend(*self.project(x), table)


class JointAttention(SelfAttention):
    """Attention of text and image on both together, each with its own projections."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__(heads, head_dim)
        dim = heads * head_dim
        self.add_q_proj = Linear(dim, dim)
        self.add_k_proj = Linear(dim, dim)
        self.add_v_proj = Linear(dim, dim)
        self.norm_added_q = RMSNorm(head_dim)
        self.norm_added_k = RMSNorm(head_dim)
        self.to_out = nn.Sequential(Linear(dim, dim))
        self.to_add_out = Linear(dim, dim)

    def project_context(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values [B, heads, T, hd] of the text [B, T, D]."""
        projections = (self.add_q_proj, self.add_k_proj, self.add_v_proj)
        q, k, v = (self.split(to(context)) for to in projections)
        return self.norm_added_q(q), self.norm_added_k(k), v

    def forward_joint(self, image: Tensor, context: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return image [B, L, D] and text [B, T, D], each after its output projection."""
        pairs = zip(self.project_context(context), self.project(image), strict=True)
        q, k, v = (torch.cat(pair, dim=2) for pair in pairs)  # text first
        mixed = self.attend(q, k, v, table)
        length = context.shape[1]
        return self.to_out(mixed[:, length:]), self.to_add_out(mixed[:, :length])


class MultiModalBlock(nn.Module):
    """Text and image streams with their own weights, mixed by one attention."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        dim = heads * head_dim
        self.norm1 = Modulation(dim, 6)
        self.norm1_context = Modulation(dim, 6)
        self.attn = JointAttention(heads, head_dim)
        self.ff = FeedForward(dim)
        self.ff_context = FeedForward(dim)

    def modulations(self, vector: Tensor) -> Modulations:
        """Return what the condition vector [B, D] does to image (6 tensors) and text (6)."""
        return (*self.norm1(vector), *self.norm1_context(vector))

    def forward(
        self, image: Tensor, context: Tensor, modulations: Modulations, table: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return image [B, L, D] and context [B, T, D] after the block."""
        shift, scale, gate, *image_mlp = modulations[:6]
        context_shift, context_scale, context_gate, *context_mlp = modulations[6:]
        image_mixed, context_mixed = self.attn.forward_joint(
            _modulated(image, shift, scale),
            _modulated(context, context_shift, context_scale),
            table,
        )
        image = _add_mlp(torch.addcmul(image, gate, image_mixed), image_mlp, self.ff)
        context = torch.addcmul(context, context_gate, context_mixed)
        return image, _without_overflow(_add_mlp(context, context_mlp, self.ff_context))


class SingleBlock(nn.Module):
    """One stream of text and image; attention and MLP side by side."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        dim = heads * head_dim
        self.norm = Modulation(dim, 3)
        self.attn = SelfAttention(heads, head_dim)
        self.proj_mlp = Linear(dim, 4 * dim)
        self.proj_out = Linear(5 * dim, dim)

    def modulations(self, vector: Tensor) -> Modulations:
        """Return shift, scale and gate for the condition vector [B, D]."""
        return self.norm(vector)

    def forward(self, sequence: Tensor, modulations: Modulations, table: Tensor) -> Tensor:
        """Return the joint sequence [B, T + L, D] after the block."""
        shift, scale, gate = modulations
        x = _modulated(sequence, shift, scale)
        mlp = linear_gelu(x, self.proj_mlp.weight, self.proj_mlp.bias)
        update = self.proj_out(torch.cat([self.attn(x, table), mlp], dim=-1))
        return _without_overflow(torch.addcmul(sequence, gate, update))


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, plain_norm(x), 1 + scale)


def _add_mlp(x: Tensor, modulations: Sequence[Tensor], mlp: nn.Module) -> Tensor:
    shift, scale, gate = modulations
    return torch.addcmul(x, gate, mlp(_modulated(x, shift, scale)))


def _without_overflow(x: Tensor) -> Tensor:
    """Half precision only: official checkpoints overflow in the text stream."""
    return x.clip(-FP16_MAX, FP16_MAX) if x.dtype == torch.float16 else x
