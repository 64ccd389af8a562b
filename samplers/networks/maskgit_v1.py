"""The MaskGIT transformer of the PyTorch reproduction, version 1: BERT-like, class as last token.

Parameter names are those of the official checkpoints. One table embeds codes, the mask, classes and
the dropped class, and is the output matrix, too; each position has an output bias of its own.
Source: Maskgit-pytorch `Network/transformer.py` (`MaskTransformer`).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bakeoff.samplers.networks.attention import attention
from bakeoff.samplers.networks.linear import Linear, in_blocks, linear
from bakeoff.samplers.networks.maskgit_sizes import MaskGITConfig
from bakeoff.samplers.networks.weight_shapes import Shapes

HEADS = {768: 16}  # of the released networks, by width
STEM_EPS = 1e-12  # of the norms before and behind the blocks
OTHERS = 2  # rows of the vocabulary that are neither code nor class: mask and dropped class


def read_sizes(
    tensors: Mapping[str, Tensor],
    source: str | Path,
    *,
    codebook_size: int,
    heads: int | None = None,
) -> MaskGITConfig:
    """Return the sizes that the weights of a file have.

    `codebook_size` is the tokenizer's: the vocabulary alone does not tell codes from classes.
    Raises: InputError if weights are missing or their shapes impossible.
    """
    shapes = Shapes(tensors, source)
    rows, dim = shapes.of("tok_emb.weight", 2)
    _, positions, _ = shapes.of("pos_emb", 3)
    heads = shapes.heads(heads, HEADS, dim, dim)
    return MaskGITConfig(
        dim=dim,
        depth=shapes.count("transformer.layers.{}.0.norm.weight"),
        heads=heads,
        head_dim=dim // heads,
        mlp_dim=shapes.of("transformer.layers.0.1.fn.net.0.weight", 2)[0],
        codebook_size=codebook_size,
        classes=shapes.classes(rows, codebook_size, OTHERS, "tok_emb.weight"),
        grid=shapes.side(positions - 1, "pos_emb"),
    )


class Mixing(nn.Module):
    """Attention weights under the names of PyTorch's own module."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]; every token looks at all."""
        qkv = linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out_proj(attention(q, k, v).transpose(1, 2).flatten(2))


class SelfAttention(nn.Module):
    """The attention of a block, in its official place."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.mha = Mixing(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return self.mha(x)


class FeedForward(nn.Module):
    """Linear, GELU, linear; the empty place holds the official dropout."""

    def __init__(self, dim: int, mlp_dim: int) -> None:
        super().__init__()
        parts = (Linear(dim, mlp_dim), nn.GELU(), nn.Identity(), Linear(mlp_dim, dim))
        self.net = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return self.net(x)


class Normed(nn.Module):
    """A layer behind a norm, plus its input."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return x + self.fn(self.norm(x))


def _block(config: MaskGITConfig) -> nn.ModuleList:
    mixing = SelfAttention(config.dim, config.heads)
    feed_forward = FeedForward(config.dim, config.mlp_dim)
    return nn.ModuleList([Normed(config.dim, mixing), Normed(config.dim, feed_forward)])


def _around(dim: int) -> tuple[nn.Module, ...]:
    """Return what stands before and behind the blocks; the empty place held dropout."""
    norms = (nn.LayerNorm(dim, eps=STEM_EPS) for _ in range(2))
    return (next(norms), nn.Identity(), Linear(dim, dim), nn.GELU(), next(norms))


class MaskGITv1(nn.Module):
    """Predicts the codes of masked image tokens from the known ones and the class.

    Source: Maskgit-pytorch `MaskTransformer.forward`.
    """

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config = config
        dim, length = config.dim, config.positions + 1
        vocabulary = config.codebook_size + config.classes + OTHERS
        self.tok_emb = nn.Embedding(vocabulary, dim)
        self.pos_emb = nn.Parameter(torch.zeros(1, length, dim))
        self.bias = nn.Parameter(torch.zeros(length, vocabulary))
        self.first_layer = nn.Sequential(*_around(dim), nn.Identity(), Linear(dim, dim))
        blocks = nn.ModuleList(_block(config) for _ in range(config.depth))
        self.transformer = nn.ModuleDict({"layers": blocks})
        self.last_layer = nn.Sequential(*_around(dim))

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
        x = self.backbone(self.embed(tokens, labels))
        states = self.last_layer(x)[:, :-1]
        return states if where is None else states[where]

    def embed(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Return the sequence [R, K + 1, D]: image tokens in rows, then the class."""
        mask = self.config.codebook_size
        ids = torch.cat([tokens.flatten(1).clamp(max=mask), (labels + mask + 1)[:, None]], dim=1)
        return self.tok_emb(ids) + self.pos_emb

    def backbone(self, x: Tensor) -> Tensor:
        """Run stem and blocks on the sequence [R, K + 1, D]."""
        x = self.first_layer(x)
        for block in self.transformer["layers"].children():
            for layer in block.children():
                x = layer(x)
        return x

    def logits(self, hidden: Tensor, where: Tensor | None = None) -> Tensor:
        """Return logits [..., codes and mask] of hidden states; `where` as for them."""
        bias = self.bias[:-1, : self.columns]
        if where is not None:
            bias = bias[where.nonzero()[:, 1]]
        weight = self.tok_emb.weight[: self.columns]
        return in_blocks(lambda rows: linear(rows, weight), hidden) + bias
