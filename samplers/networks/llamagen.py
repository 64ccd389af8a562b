"""LlamaGen's transformer: a condition and the image tokens so far in, the next token's logits out.

Parameter names are those of the official checkpoints. One peculiarity is kept on purpose: the
rotary rows of condition tokens are zero, so their queries and keys vanish and only their values
carry the condition.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError, unknown
from bakeoff.samplers.networks.attention import attention

# Below 8 rows, matrix products with one token per sequence round differently on CPUs.
EXACT_ROWS = 8
# Settings of the official class that leave inference untouched.
IGNORED_SETTINGS = frozenset(
    "initializer_range token_dropout_p attn_dropout_p resid_dropout_p ffn_dropout_p drop_path_rate "
    "class_dropout_prob max_batch_size max_seq_len ffn_dim_multiplier".split()
)


@dataclass(frozen=True, kw_only=True)
class LlamaGenConfig:
    """The sizes of a LlamaGen transformer, under the official names.

    `block_size` is the number of image tokens N, `cls_token_num` that of condition tokens T.
    """

    dim: int
    n_layer: int
    n_head: int
    vocab_size: int = 16384
    block_size: int = 256
    cls_token_num: int = 1
    model_type: Literal["c2i", "t2i"] = "c2i"
    num_classes: int = 1000
    caption_dim: int = 2048
    multiple_of: int = 256
    norm_eps: float = 1e-5
    rope_base: float = 10000

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return the configuration that a checkpoint's `config.json` describes.

        Raises: InputError for an unknown setting or an impossible size.
        """
        known = {field.name for field in fields(cls)}
        given = {key: value for key, value in settings.items() if key not in IGNORED_SETTINGS}
        heads = given.get("n_head")
        if given.pop("n_kv_head", None) not in (None, heads):
            raise InputError("n_kv_head must equal n_head: no released model shares key heads")
        for key in given:
            if key not in known:
                raise unknown("LlamaGen setting", key, known)
        missing = {"dim", "n_layer", "n_head"} - given.keys()
        if missing:
            raise InputError(f"LlamaGen setting {min(missing)!r} is missing")
        return cls(**given)

    def __post_init__(self) -> None:
        if self.model_type not in ("c2i", "t2i"):
            raise InputError(f"model_type must be 'c2i' or 't2i', got {self.model_type!r}")
        if self.n_head < 1 or self.dim % (4 * self.n_head):
            raise InputError(f"dim {self.dim} must be a multiple of 4 n_head = {4 * self.n_head}")
        if self.block_size < 1 or self.grid**2 != self.block_size:
            raise InputError(f"block_size must be a square number, got {self.block_size}")

    @property
    def grid(self) -> int:
        """Image tokens per row and per column."""
        return math.isqrt(self.block_size)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.n_head

    @property
    def slots(self) -> int:
        """Length of the sequence: condition and image tokens, T + N."""
        return self.cls_token_num + self.block_size

    @property
    def hidden_dim(self) -> int:
        """Width inside the feed-forward network."""
        return -(-int(8 * self.dim / 3) // self.multiple_of) * self.multiple_of


def rotary_table(config: LlamaGenConfig) -> Tensor:
    """Return every slot's rotations as complex numbers of length 1, [T + N, hd / 2] complex64.

    The first half of the pairs turns with the row of the token grid, the second with its column;
    the rows of the condition tokens are zero.
    """
    pairs = config.head_dim // 2
    frequencies = config.rope_base ** -(torch.arange(0, pairs, 2).float() / pairs)
    angles = torch.arange(config.grid).float()[:, None] * frequencies  # [g, hd / 4]
    rows = angles[:, None].expand(-1, config.grid, -1)
    columns = angles[None].expand(config.grid, -1, -1)
    grid = torch.cat([rows, columns], dim=-1).flatten(0, 1)  # [N, hd / 2]
    image = torch.complex(grid.cos(), grid.sin())
    return torch.cat([image.new_zeros(config.cls_token_num, pairs), image])


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each pair of neighbouring components of x [..., S, hd] by table [S, hd / 2].

    The arithmetic is float32, the result has the dtype of x.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)


def attention_mask(config: LlamaGenConfig, mask: Tensor | None, device: torch.device) -> Tensor:
    """Return which slots each slot may look at, boolean [1 | B, 1, T + N, T + N].

    Causal; pad columns of the condition (0 in `mask` [B, T]) are off; the diagonal stays on, so
    that a pad slot looks at itself instead of at nothing.
    """
    slots = torch.arange(config.slots, device=device)
    causal = slots[:, None] >= slots
    if mask is None:
        return causal[None, None]
    kept = F.pad(mask.to(device, torch.bool), (0, config.block_size), value=True)  # [B, T + N]
    diagonal = slots[:, None] == slots
    return (causal & kept[:, None] | diagonal)[:, None]


@dataclass
class KeyValueCache:
    """Keys and values of the `length` slots passed so far, after rotation; room for all slots."""

    rows: int  # sequences asked for; the buffers may hold repeated ones beyond them
    keys: Tensor  # [n_layer, R, H, T + N, hd]
    values: Tensor
    mask: Tensor  # [1 | R, 1, T + N, T + N]
    length: int = 0

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store k and v [R, H, S, hd] behind the filled slots; return all those now filled."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class RMSNorm(nn.Module):
    """Root-mean-square norm; its statistics are float32, its result has the input's dtype."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.weight.to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with rotated queries and keys."""

    def __init__(self, config: LlamaGenConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.n_head = layer, config.n_head
        self.wqkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.wo = nn.Linear(config.dim, config.dim, bias=False)

    def forward(
        self, x: Tensor, table: Tensor, mask: Tensor, cache: KeyValueCache | None
    ) -> Tensor:
        qkv = self.wqkv(x).unflatten(-1, (3, self.n_head, -1))  # [R, S, 3, H, hd]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, table), rotate(k, table)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        return self.wo(attention(q, k, v, mask).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Gated feed-forward network (SwiGLU)."""

    def __init__(self, config: LlamaGenConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w3 = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w2 = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """One transformer layer: attention and feed-forward, each behind a norm."""

    def __init__(self, config: LlamaGenConfig, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.feed_forward = FeedForward(config)
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)

    def forward(
        self, x: Tensor, table: Tensor, mask: Tensor, cache: KeyValueCache | None
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), table, mask, cache)
        return x + self.feed_forward(self.ffn_norm(x))


class LabelEmbedder(nn.Module):
    """Class ids [B] to one token each; the last row is the unconditional class."""

    def __init__(self, config: LlamaGenConfig) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        self.embedding_table = nn.Embedding(config.num_classes + 1, config.dim)

    def forward(self, class_ids: Tensor) -> Tensor:
        return self.embedding_table(class_ids)[:, None]  # [B, 1, D]

    def unconditional(self, batch: int) -> Tensor:
        return torch.full((batch,), self.num_classes, device=self.embedding_table.weight.device)


class CaptionMLP(nn.Module):
    """Two layers without bias: zero rows stay zero."""

    def __init__(self, caption_dim: int, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(caption_dim, dim, bias=False)
        self.fc2 = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class CaptionEmbedder(nn.Module):
    """Text states [B, T, caption_dim] to T tokens; the unconditional states are learned."""

    def __init__(self, config: LlamaGenConfig) -> None:
        super().__init__()
        self.cap_proj = CaptionMLP(config.caption_dim, config.dim)
        states = torch.randn(config.cls_token_num, config.caption_dim)
        self.uncond_embedding = nn.Parameter(states / config.caption_dim**0.5)

    def forward(self, states: Tensor) -> Tensor:
        return self.cap_proj(states.to(self.cap_proj.fc1.weight.dtype))  # [B, T, D]

    def unconditional(self, batch: int) -> Tensor:
        return self.uncond_embedding.expand(batch, -1, -1)


class LlamaGenTransformer(nn.Module):
    """A decoder-only transformer over T condition tokens and N image tokens in raster order."""

    def __init__(self, config: LlamaGenConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        embedder = LabelEmbedder if config.model_type == "c2i" else CaptionEmbedder
        self.cls_embedding = embedder(config)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = nn.Linear(config.dim, config.vocab_size, bias=False)
        # no buffer: checkpoints have no such key, and casting the network must not round it
        self.table = rotary_table(config)
        self.apply(_initialize)
        nn.init.zeros_(self.output.weight)

    @property
    def uncond_embedding(self) -> Tensor:
        """Learned text states [T, caption_dim] of the unconditional branch (t2i only)."""
        return self.cls_embedding.uncond_embedding

    def unconditional(self, batch: int) -> Tensor:
        """Return the unconditional condition for `batch` images: class ids or text states."""
        return self.cls_embedding.unconditional(batch)

    def forward(self, tokens: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return logits [B, N, V] float32 in one causal pass; row n predicts token n.

        tokens [B, N] (the last one is predicted, never fed); condition: class ids [B] (c2i) or text
        states [B, T, caption_dim] (t2i), whose pad columns `mask` [B, T] switches off.
        """
        fed = self.tok_embeddings(tokens[:, :-1]).to(self._activation_dtype())
        x = torch.cat([self._embed_condition(condition), fed], dim=1)
        slots = x.shape[1]
        seen = attention_mask(self.config, mask, x.device)[:, :, :slots, :slots]
        x = self._run(x, 0, seen)
        return self.output(x[:, self.config.cls_token_num - 1 :]).float()

    def prefill(
        self, condition: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, KeyValueCache]:
        """Return the logits [R, V] float32 of token 0, and the cache to decode from.

        condition and mask as in `forward`, one row for each of the R sequences.
        """
        rows = len(condition)
        x = _repeated(self._embed_condition(condition))
        mask = None if mask is None else _repeated(mask)
        seen = attention_mask(self.config, mask, x.device)
        shape = (len(self.layers), len(x), self.config.n_head, self.config.slots)
        buffer = x.new_zeros(*shape, self.config.head_dim)
        cache = KeyValueCache(rows, buffer, torch.zeros_like(buffer), seen)
        return self._advance(x, cache), cache

    def decode(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Feed the newest tokens [R]; return the next ones' logits [R, V] float32."""
        x = self.tok_embeddings(_repeated(tokens))[:, None].to(self._activation_dtype())
        return self._advance(x, cache)

    def _advance(self, x: Tensor, cache: KeyValueCache) -> Tensor:
        start, end = cache.length, cache.length + x.shape[1]
        x = self._run(x, start, cache.mask[:, :, start:end, :end], cache)
        cache.length = end
        return self.output(x[:, -1])[: cache.rows].float()  # [R, V]

    def _run(
        self, x: Tensor, start: int, mask: Tensor, cache: KeyValueCache | None = None
    ) -> Tensor:
        table = self.table[start : start + x.shape[1]].to(x.device)
        for layer in self.layers:
            x = layer(x, table, mask, cache)
        return self.norm(x)

    def _embed_condition(self, condition: Tensor) -> Tensor:
        return self.cls_embedding(condition).to(self._activation_dtype())

    def _activation_dtype(self) -> torch.dtype:
        weight = self.tok_embeddings.weight
        if torch.is_autocast_enabled(weight.device.type):
            return torch.get_autocast_dtype(weight.device.type)
        return weight.dtype


def _repeated(x: Tensor) -> Tensor:
    rows = len(x)
    return x if rows >= EXACT_ROWS else x[torch.arange(EXACT_ROWS, device=x.device) % rows]


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
