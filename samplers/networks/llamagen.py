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

from bakeoff.samplers.errors import InputError, shown, unknown
from bakeoff.samplers.networks.key_value_cache import (
    ConditionPass,
    KeyValueCache,
    StepPass,
    WholePass,
    WindowPass,
)
from bakeoff.samplers.networks.llamagen_blocks import (
    Attend,
    Block,
    CaptionEmbedder,
    LabelEmbedder,
    RMSNorm,
)
from bakeoff.samplers.networks.packed import pack_weights

# Below so many rows, matrix products round differently on CPUs: plain ones, and those whose weights
# are packed.
EXACT_ROWS, EXACT_PACKED_ROWS = 16, 2
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
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or value < 1):
                raise InputError(f"{field.name} must be a whole number from 1, got {shown(value)}")
        if self.model_type not in ("c2i", "t2i"):
            raise InputError(f"model_type must be 'c2i' or 't2i', got {self.model_type!r}")
        if self.model_type == "c2i" and self.cls_token_num != 1:
            raise InputError(f"cls_token_num must be 1 for classes, got {self.cls_token_num}")
        if self.dim % (4 * self.n_head):
            raise InputError(f"dim {self.dim} must be a multiple of 4 n_head = {4 * self.n_head}")
        if self.grid**2 != self.block_size:
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
    def hidden_dim(self) -> int:
        """Width inside the feed-forward network."""
        return -(-int(8 * self.dim / 3) // self.multiple_of) * self.multiple_of


def rotary_table(config: LlamaGenConfig) -> Tensor:
    """Return every slot's rotations as complex numbers of length 1, [T + N, hd / 2] complex64.

    The first half of the pairs turns with the row of the token grid, the second with its column;
    the rows of the condition tokens are zero.
    """
    pairs, device = config.head_dim // 2, torch.device("cpu")  # also while a network has none yet
    frequencies = config.rope_base ** -(torch.arange(0, pairs, 2, device=device).float() / pairs)
    angles = torch.arange(config.grid, device=device).float()[:, None] * frequencies  # [g, hd / 4]
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
        self.compiled, self.exact_rows = False, EXACT_ROWS
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
        x = self._run(x, self._rotations()[: x.shape[1]], WholePass(seen))
        return self.output(x[:, self.config.cls_token_num - 1 :]).float()

    def prefill(
        self, condition: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, KeyValueCache]:
        """Return the hidden state [R, D] that tells token 0, and the cache to decode from.

        condition and mask as in `forward`, one row for each of the R sequences; see `head`.
        """
        config, x = self.config, self._embed_condition(condition)
        cache = KeyValueCache(
            x[:, 0], layers=config.n_layer, heads=config.n_head, slots=config.block_size
        )
        cache.weigh(mask, config.cls_token_num)
        seen = attention_mask(mask, config.cls_token_num, config.cls_token_num, x.device)
        table = self._rotations()[: config.cls_token_num]
        hidden = self._run(self._padded(x), table, ConditionPass(cache, seen, mask))
        return hidden[: len(x), -1], cache

    def decode(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Feed the newest tokens [R]; return the hidden states [R, D] that tell the next ones."""
        if self.compiled:  # what is compiled has one shape for all positions
            starts = torch.full_like(tokens, cache.filled - 1)
            cache.filled += 1
            return self.decode_window(tokens[:, None], starts, cache)[:, 0]
        slot = self.config.cls_token_num + cache.filled - 1
        x, table = self._embed(tokens[:, None]), self._rotations()[slot : slot + 1]
        hidden = self._run(x, table, StepPass(cache))
        cache.filled += 1
        return hidden[: len(tokens), 0]

    def decode_window(
        self, tokens: Tensor, starts: Tensor, cache: KeyValueCache, *, end: int | None = None
    ) -> Tensor:
        """Feed S tokens of each row at once; return the hidden states [R, S, D] behind each.

        tokens [R, S] are the image tokens from `starts` [R] on; what the cache holds of them and
        those behind is replaced or not looked at. `end` is the end of the last window, N - 1 by
        default.
        """
        places = starts[:, None] + torch.arange(tokens.shape[1], device=starts.device)  # [R, S]
        table = self._rotations()[self.config.cls_token_num + self._padded(places)]
        end = cache.slots if end is None or self.compiled else 1 + end
        attend = WindowPass(cache, 1 + places, end)
        return self._run_window(self._embed(tokens), table, attend)[: len(tokens)]

    def head(self, hidden: Tensor) -> Tensor:
        """Return the logits [..., V] float32 of hidden states [..., D]."""
        rows = hidden.reshape(-1, 1, hidden.shape[-1])
        logits = self.output(self._padded(rows))[: len(rows)]
        return logits.view(*hidden.shape[:-1], -1).float()

    def compile_layers(self, **options: Any) -> None:
        """Compile the layers for decoding, with one shape for all positions of a generation.

        On a GPU their launches are recorded as one CUDA graph. `options` go to `torch.compile`.
        """
        mode = {"mode": "reduce-overhead"} if self.tok_embeddings.weight.is_cuda else {}
        compiled = torch.compile(self._run_window, dynamic=False, **{**mode, **options})
        self._run_window = compiled  # type: ignore[method-assign]
        self.compiled = True

    def pack(self) -> None:
        """Pack the weights for inference on a CPU; see `pack_weights`."""
        if pack_weights(self):
            self.exact_rows = EXACT_PACKED_ROWS

    def _embed(self, tokens: Tensor) -> Tensor:
        return self.tok_embeddings(self._padded(tokens)).to(self._activation_dtype())

    def _run_window(self, x: Tensor, table: Tensor, attend: WindowPass) -> Tensor:
        return self._run(x, table, attend)

    def _run(self, x: Tensor, table: Tensor, attend: Attend) -> Tensor:
        table = table[..., None, None, :]  # the same for queries and keys of all heads
        for layer in self.layers:
            x = layer(x, table, attend)
        return self.norm(x)

    def _padded(self, x: Tensor) -> Tensor:
        """Add rows of zeros to x [R, S, ...] until its tokens are enough to be exact."""
        missing = -(-self.exact_rows // x.shape[1]) - x.shape[0]
        return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing > 0 else x

    def _rotations(self) -> Tensor:
        device = self.tok_embeddings.weight.device
        if self.table.device != device:
            self.table = self.table.to(device)
        return self.table

    def _embed_condition(self, condition: Tensor) -> Tensor:
        return self.cls_embedding(condition).to(self._activation_dtype())

    def _activation_dtype(self) -> torch.dtype:
        weight = self.tok_embeddings.weight
        if torch.is_autocast_enabled(weight.device.type):
            return torch.get_autocast_dtype(weight.device.type)
        return weight.dtype


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
