"""The transformer of the original MaskGIT (JAX): BERT, norms behind sums, the class token first.

Modules have their flax names; see `flax_names.py`. There is no dropped class, hence no guidance.
Source: maskgit `nets/maskgit_transformer.py`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bakeoff.samplers.networks.attention import attention
from bakeoff.samplers.networks.linear import Linear, in_blocks, linear, linear_gelu
from bakeoff.samplers.networks.maskgit_sizes import MaskGITConfig
from bakeoff.samplers.networks.weight_shapes import Shapes

EPS = 1e-12
OTHERS = 1  # rows of the vocabulary that are neither code nor class: the mask, its last


def read_sizes(
    tensors: Mapping[str, Tensor],
    source: str | Path,
    *,
    codebook_size: int,
) -> MaskGITConfig:
    """Return the sizes that the weights of a file have, by their flax names.

    `codebook_size` is the tokenizer's: the vocabulary alone does not tell codes from classes.
    Raises: InputError if weights are missing or their shapes impossible.
    """
    shapes = Shapes(tensors, source)
    words, places = (f"Embed_0/{kind}_embeddings/embedding" for kind in ("word", "position"))
    rows, dim = shapes.of(words, 2)
    kernel = "TransformerLayer_0/Attention_0/self_attention/query/kernel"
    _, heads, head_dim = shapes.of(kernel, 3)
    return MaskGITConfig(
        dim=dim,
        depth=shapes.count("TransformerLayer_{}/Attention_0/attention_output_ln/scale"),
        heads=heads,
        head_dim=head_dim,
        mlp_dim=shapes.of("TransformerLayer_0/Mlp_0/intermediate_output/kernel", 2)[1],
        codebook_size=codebook_size,
        classes=shapes.classes(rows, codebook_size, OTHERS, words),
        grid=shapes.side(shapes.of(places, 2)[0] - 1, places),
    )


def _norm(dim: int) -> nn.LayerNorm:
    return nn.LayerNorm(dim, eps=EPS)


class Embedding(nn.Module):
    """Token plus position, normed."""

    def __init__(self, vocabulary: int, length: int, dim: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, dim)
        self.position_embeddings = nn.Embedding(length, dim)
        self.embeddings_ln = _norm(dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Return [R, S, D] of ids [R, S]."""
        return self.embeddings_ln(self.word_embeddings(ids) + self.position_embeddings.weight)


class Mixing(nn.Module):
    """Multi-head attention; every token looks at all."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        width = config.heads * config.head_dim
        self.heads = config.heads
        self.query = Linear(config.dim, width)
        self.key = Linear(config.dim, width)
        self.value = Linear(config.dim, width)
        self.out = Linear(width, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        projections = (self.query, self.key, self.value)
        q, k, v = (to(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for to in projections)
        return self.out(attention(q, k, v).transpose(1, 2).flatten(2))


class SelfAttention(nn.Module):
    """Attention plus its input, normed."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.self_attention = Mixing(config)
        self.attention_output_ln = _norm(config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return self.attention_output_ln(x + self.self_attention(x))


class FeedForward(nn.Module):
    """Linear, GELU in its tanh form, linear; plus the input, normed."""

    def __init__(self, dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.intermediate_output = Linear(dim, mlp_dim)
        self.layer_output = Linear(mlp_dim, dim)
        self.layer_output_ln = _norm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        first = self.intermediate_output
        y = self.layer_output(linear_gelu(x, first.weight, first.bias))
        return self.layer_output_ln(x + y)


class Layer(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.Attention_0 = SelfAttention(config)
        self.Mlp_0 = FeedForward(config.dim, config.mlp_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return self.Mlp_0(self.Attention_0(x))


class Bias(nn.Module):
    """One number for each row of the vocabulary."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocabulary))


class Head(nn.Module):
    """Linear, GELU, norm, and the bias of the product with the embeddings."""

    def __init__(self, dim: int, vocabulary: int) -> None:
        super().__init__()
        self.mlm_dense = Linear(dim, dim)
        self.mlm_ln = _norm(dim)
        self.mlm_bias = Bias(vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        return self.mlm_ln(linear_gelu(x, self.mlm_dense.weight, self.mlm_dense.bias))


class MaskGITJax(nn.Module):
    """Predicts the codes of masked image tokens from the known ones and the class.

    Source: maskgit `Transformer.__call__`.
    """

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config = config
        vocabulary = config.codebook_size + config.classes + OTHERS
        self.Embed_0 = Embedding(vocabulary, config.positions + 1, config.dim)
        self.depth = config.depth
        for index in range(config.depth):
            self.add_module(f"TransformerLayer_{index}", Layer(config))
        self.MlmLayer_0 = Head(config.dim, vocabulary)

    @property
    def columns(self) -> int:
        """Logits per position that are used: those of the codes."""
        return self.config.codebook_size

    @property
    def unknown(self) -> int:
        """The id of a token not yet known; officially -1, which as an index is the last row."""
        return self.config.codebook_size + self.config.classes

    def forward(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Return logits [R, K, codes] of tokens [R, g, g] and class ids [R]."""
        return self.logits(self.hidden(tokens, labels))

    def hidden(self, tokens: Tensor, labels: Tensor, where: Tensor | None = None) -> Tensor:
        """Return the hidden states [R, K, D], or [marked, D] at the marks of `where` [R, K]."""
        states = self.MlmLayer_0(self.backbone(self.embed(tokens, labels)))[:, 1:]
        return states if where is None else states[where]

    def embed(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Return the sequence [R, K + 1, D]: the class, then image tokens in rows."""
        classes = (labels + self.config.codebook_size)[:, None]
        return self.Embed_0(torch.cat([classes, tokens.flatten(1)], dim=1))

    def backbone(self, x: Tensor) -> Tensor:
        """Run all layers on the sequence [R, K + 1, D]."""
        for index in range(self.depth):
            x = self.get_submodule(f"TransformerLayer_{index}")(x)
        return x

    def logits(self, hidden: Tensor, where: Tensor | None = None) -> Tensor:
        """Return logits [..., codes] of hidden states, wherever they stand."""
        weight = self.Embed_0.word_embeddings.weight[: self.columns]
        bias = self.MlmLayer_0.mlm_bias.bias[: self.columns]
        return in_blocks(lambda rows: linear(rows, weight, bias), hidden)
