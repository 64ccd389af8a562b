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
from bakeoff.samplers.networks.llamagen_blocks import (
    Block,
    CaptionEmbedder,
    KeyValueCache,
    LabelEmbedder,
    RMSNorm,
)

# Below 8 rows, matrix products with one token per sequence round differently on CPUs.
EXACT_ROWS = 8
# Settings of the official class that leave inference untouched.
IGNORED_SETTINGS = {
    *("initializer_range", "token_dropout_p", "attn_dropout_p", "resid_dropout_p"),
    *("ffn_dropout_p", "drop_path_rate", "class_dropout_prob", "max_batch_size", "max_seq_len"),
}


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
        if given.pop("n_kv_head", None) not in (None, given.get("n_head")):
            raise InputError("n_kv_head must equal n_head: no released model shares key heads")
        if given.pop("ffn_dim_multiplier", None) is not None:
            raise InputError("ffn_dim_multiplier must be null: no released model has one")
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


def attention_mask(mask: Tensor | None, condition: int, slots: int, device: torch.device) -> Tensor:
    """Return which of `slots` slots each may look at, boolean [1 | B, 1, slots, slots].

    Causal; pad columns among the first `condition` slots (0 in `mask` [B, T]) are off; the diagonal
    stays on, so that a pad slot looks at itself instead of at nothing.
    """
    positions = torch.arange(slots, device=device)
    causal = positions[:, None] >= positions
    if mask is None:
        return causal[None, None]
    kept = _kept_slots(mask, slots - condition)
    return causal & kept | torch.eye(slots, dtype=torch.bool, device=device)


def _kept_slots(mask: Tensor, image_slots: int) -> Tensor:
    return F.pad(mask.bool(), (0, image_slots), value=True)[:, None, None]  # [B, 1, 1, slots]


class LlamaGenTransformer(nn.Module):
    """A decoder-only transformer over T condition tokens and N image tokens in raster order."""

    def __init__(self, config: LlamaGenConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        self.cls_embedding: LabelEmbedder | CaptionEmbedder
        if config.model_type == "c2i":
            self.cls_embedding = LabelEmbedder(config.num_classes, config.dim)
        else:
            length = config.cls_token_num
            self.cls_embedding = CaptionEmbedder(config.caption_dim, length, config.dim)
        sizes = config.dim, config.hidden_dim, config.n_head
        self.layers = nn.ModuleList(
            Block(*sizes, eps=config.norm_eps, layer=layer) for layer in range(config.n_layer)
        )
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = nn.Linear(config.dim, config.vocab_size, bias=False)
        # no buffer: checkpoints have no such key, and casting the network must not round it
        self.table = rotary_table(config)
        self.apply(_initialize)
        nn.init.zeros_(self.output.weight)

    @property
    def uncond_embedding(self) -> Tensor:
        """Learned text states [T, caption_dim] of the unconditional branch (t2i only)."""
        assert isinstance(self.cls_embedding, CaptionEmbedder), "class ids have no text states"
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
        seen = attention_mask(mask, self.config.cls_token_num, x.shape[1], x.device)
        x = self._run(x, 0, seen)
        return self.output(x[:, self.config.cls_token_num - 1 :]).float()

    def prefill(
        self, condition: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, KeyValueCache]:
        """Return the logits [R, V] float32 of token 0, and the cache to decode from.

        condition and mask as in `forward`, one row for each of the R sequences.
        """
        config, x = self.config, _repeated(self._embed_condition(condition))
        mask = None if mask is None else _repeated(mask)
        shape = config.n_layer, len(x), config.n_head, config.slots, config.head_dim
        cache = KeyValueCache(
            rows=len(condition),
            keys=x.new_zeros(shape),
            values=x.new_zeros(shape),
            kept=None if mask is None else _kept_slots(mask, config.block_size),
        )
        seen = attention_mask(mask, config.cls_token_num, config.cls_token_num, x.device)
        return self._advance(x, seen, cache), cache

    def decode(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Feed the newest tokens [R]; return the next ones' logits [R, V] float32."""
        x = self.tok_embeddings(_repeated(tokens))[:, None].to(self._activation_dtype())
        kept = None if cache.kept is None else cache.kept[..., : cache.length + 1]
        return self._advance(x, kept, cache)

    def _advance(self, x: Tensor, mask: Tensor | None, cache: KeyValueCache) -> Tensor:
        start = cache.length
        hidden = self._run(x, start, mask, cache)
        cache.length = start + x.shape[1]
        return self.output(hidden[:, -1])[: cache.rows].float()  # [R, V]

    def _run(
        self, x: Tensor, start: int, mask: Tensor | None, cache: KeyValueCache | None = None
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
