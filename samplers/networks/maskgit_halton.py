"""The MaskGIT transformer of the PyTorch reproduction, version 2 ("Halton-MaskGIT"): DiT-like.

Parameter names are those of the official checkpoints. The class enters by modulation; a register
token follows the image tokens.
Source: Halton-MaskGIT `Network/transformer.py` (`Transformer`).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.attention import attention
from bakeoff.samplers.networks.linear import Linear, in_blocks
from bakeoff.samplers.networks.maskgit_sizes import MaskGITConfig
from bakeoff.samplers.networks.weight_shapes import Shapes

HEADS = {384: 6, 512: 6, 768: 12, 1024: 16}  # of the released networks, by width
EPS = 1e-5


def read_sizes(
    tensors: Mapping[str, Tensor],
    source: str | Path,
    *,
    codebook_size: int,
    heads: int | None = None,
) -> MaskGITConfig:
    """Return the sizes that the weights of a file have; `codebook_size` is the tokenizer's.

    Raises: InputError if weights are missing or their shapes impossible, or the two output tables
    that are one differ.
    """
    shapes = Shapes(tensors, source)
    rows, dim = shapes.of("tok_emb.weight", 2)
    if rows != codebook_size + 1:
        raise InputError(
            f"{source}: the weight 'tok_emb.weight' has {rows} rows, but must have "
            f"{codebook_size + 1}: the codes of the tokenizer and the mask"
        )
    if "head.weight" in tensors and not tensors["head.weight"].equal(tensors["tok_emb.weight"]):
        raise InputError(
            f"{source}: the weight 'head.weight' differs from 'tok_emb.weight', which it must be"
        )
    width = shapes.of("transformer.layers.0.attn.wq.weight", 2)[0]
    heads = shapes.heads(heads, HEADS, dim, width)
    return MaskGITConfig(
        dim=dim,
        depth=shapes.count("transformer.layers.{}.ln1.weight"),
        heads=heads,
        head_dim=width // heads,
        mlp_dim=shapes.of("transformer.layers.0.ff.w1.weight", 2)[0],
        codebook_size=codebook_size,
        classes=shapes.classes(shapes.of("cls_emb.weight", 2)[0], 0, 1, "cls_emb.weight"),
        grid=shapes.side(shapes.of("pos_emb.weight", 2)[0], "pos_emb.weight"),
    )


class Scale(nn.Module):
    """Root-mean-square norm, weighted; statistics in float32, result in the input's dtype."""

    def __init__(self, dim: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        if bias:
            self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., D] normed."""
        normed = F.rms_norm(x, self.weight.shape, self.weight, EPS)
        return normed + self.bias if hasattr(self, "bias") else normed


class Attention(nn.Module):
    """Self-attention; queries and keys are normed over all heads together."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, width = heads, heads * head_dim
        self.wq = Linear(dim, width, bias=False)
        self.wk = Linear(dim, width, bias=False)
        self.wv = Linear(dim, width, bias=False)
        self.wo = Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        q, k, v = self.wq(x), self.wk(x), self.wv(x)
        q, k = (F.rms_norm(y, y.shape[-1:], eps=EPS) for y in (q, k))
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
        return self.wo(attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Gated feed-forward network (SwiGLU)."""

    def __init__(self, dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.w1 = Linear(dim, mlp_dim, bias=False)
        self.w3 = Linear(dim, mlp_dim, bias=False)
        self.w2 = Linear(mlp_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


def _modulation(dim: int, count: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), Linear(dim, count * dim))


def _modulations(mlp: nn.Module, vector: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return `count` tensors [R, 1, D] for the class vector [R, D]."""
    return in_blocks(mlp, vector)[:, None].chunk(count, dim=-1)


class Block(nn.Module):
    """Attention and feed-forward, modulated and gated by the class."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.mlp = _modulation(config.dim, 6)
        self.ln1, self.ln2 = Scale(config.dim), Scale(config.dim)
        self.attn = Attention(config.dim, config.heads, config.head_dim)
        self.ff = FeedForward(config.dim, config.mlp_dim)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D] and the class vector [R, D]."""
        shift, scale, gate, shift2, scale2, gate2 = _modulations(self.mlp, vector, 6)
        x = x + gate * self.attn(torch.addcmul(shift, self.ln1(x), 1 + scale))
        return x + gate2 * self.ff(torch.addcmul(shift2, self.ln2(x), 1 + scale2))


class LastNorm(nn.Module):
    """The norm before the head, modulated by the class."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm_final = Scale(dim, bias=True)
        self.mlp = _modulation(dim, 2)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D] and the class vector [R, D]."""
        shift, scale = _modulations(self.mlp, vector, 2)
        return torch.addcmul(shift, self.norm_final(x), 1 + scale)


class MaskGITHalton(nn.Module):
    """Predicts the codes of masked image tokens from the known ones and the class.

    Source: Halton-MaskGIT `Transformer.forward`.
    """

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.cls_emb = nn.Embedding(config.classes + 1, dim)
        self.tok_emb = nn.Embedding(config.codebook_size + 1, dim)
        self.pos_emb = nn.Embedding(config.positions, dim)
        self.reg_tokens = nn.Embedding(1, dim)
        blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.transformer = nn.ModuleDict({"layers": blocks})
        self.last_norm = LastNorm(dim)
        self.head = Linear(dim, config.codebook_size + 1)
        self.head.weight = self.tok_emb.weight

    @property
    def columns(self) -> int:
        """Logits per position: of the codes, and of the mask, which can be drawn."""
        return self.config.codebook_size + 1

    @property
    def unknown(self) -> int:
        """The id of a token not yet known; the mask's own id is one that may have been drawn."""
        return self.config.codebook_size + 1

    def forward(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Return logits [R, K, codes and mask] of tokens [R, g, g] and class ids [R]."""
        return self.logits(self.hidden(tokens, labels))

    def hidden(self, tokens: Tensor, labels: Tensor, where: Tensor | None = None) -> Tensor:
        """Return the hidden states [R, K, D], or [marked, D] at the marks of `where` [R, K]."""
        vector = self.cls_emb(labels)
        states = self.backbone(self.embed(tokens), vector)[:, :-1]
        return states if where is None else states[where]

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the sequence [R, K + 1, D]: image tokens in rows, then the register."""
        ids = tokens.flatten(1).clamp(max=self.config.codebook_size)
        image = self.tok_emb(ids) + self.pos_emb.weight
        return torch.cat([image, self.reg_tokens.weight.expand(len(ids), 1, -1)], dim=1)

    def backbone(self, x: Tensor, vector: Tensor) -> Tensor:
        """Run blocks and the last norm on the sequence [R, K + 1, D], for class vectors [R, D]."""
        for block in self.transformer["layers"].children():
            x = block(x, vector)
        return self.last_norm(x, vector)

    def logits(self, hidden: Tensor, where: Tensor | None = None) -> Tensor:
        """Return logits [..., codes and mask] of hidden states, wherever they stand."""
        return in_blocks(self.head, hidden)
