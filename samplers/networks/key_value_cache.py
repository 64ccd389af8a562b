"""Keys and values of the tokens fed so far, and what a pass through the network does with them.

A pass is called by every layer with its queries, keys and values [R, H, S, hd]; it stores what
later passes need and returns what attention makes of them, [rows, H, S, hd].

All condition tokens share slot 0. Their keys are zero, so that every image token gives each of them
the score 0 and attention sees nothing but the mean of their values: one slot that holds this mean
and scores log(number of condition tokens) stands for them all. Image token n has slot 1 + n.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.networks.attention import attention

# PyTorch's CPU kernel goes over the keys in blocks of this size. Only whole blocks of masked keys
# may be left out without a change of bits.
KEY_BLOCK = 512


class KeyValueCache:
    """Keys (after rotation) and values of R rows, with exactly the slots that N tokens need.

    It takes dtype and device of `like` [R, D].
    """

    def __init__(self, like: Tensor, *, layers: int, heads: int, slots: int) -> None:
        rows, width = len(like), like.shape[-1] // heads
        self.keys = like.new_zeros(layers, rows, heads, slots, width)
        self.values = torch.zeros_like(self.keys)
        self.score: Tensor | None = None  # added to the scores, [R, 1, 1, slots]; None is zero
        self.filled = 1  # slots, as long as all rows are equally long

    @property
    def rows(self) -> int:
        """Rows that have a cache; those beyond them only pad the matrix products."""
        return self.keys.shape[1]

    @property
    def slots(self) -> int:
        """Slots of each row: one for the condition, one for each token that is ever fed."""
        return self.keys.shape[3]

    def keep(self, rows: Tensor) -> None:
        """Keep some of the rows, in the order given, and forget the others."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.score = None if self.score is None else self.score[rows]

    def weigh(self, kept: Tensor | None, tokens: int) -> None:
        """Set the score of slot 0, where the kept ones of T = `tokens` condition tokens stand."""
        if kept is None and tokens == 1:
            return
        shape = self.rows, 1, 1, self.slots
        self.score = self.keys.new_zeros(shape)
        count = self.keys.new_full((self.rows,), tokens) if kept is None else kept.sum(dim=1)
        self.score[:, 0, 0, 0] = count.log().to(self.score.dtype)


@dataclass
class WholePass:
    """A pass over all tokens at once, without a cache; `mask` [R | 1, 1, S, S] is boolean."""

    mask: Tensor

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within the pass."""
        return attention(q, k, v, self.mask)


@dataclass
class ConditionPass:
    """The pass over the condition tokens [R, T], of which later passes need the mean value."""

    cache: KeyValueCache
    mask: Tensor
    kept: Tensor | None

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store the mean value; attend within the pass."""
        rows = self.cache.rows
        kept = torch.ones_like(v[:rows, 0, :, 0]) if self.kept is None else self.kept.to(v.dtype)
        share = kept / kept.sum(dim=1, keepdim=True)  # [R, T]
        self.cache.values[layer, :, :, 0] = torch.einsum("rhtd,rt->rhd", v[:rows], share)
        return attention(q[:rows], k[:rows], v[:rows], self.mask)


@dataclass
class StepPass:
    """A pass over the next token of rows that are equally long: it looks at what is filled."""

    cache: KeyValueCache

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v in the next slot; attend to all slots filled."""
        cache, rows = self.cache, self.cache.rows
        end = cache.filled + 1
        keys, values = cache.keys[layer, :, :, :end], cache.values[layer, :, :, :end]
        keys[:, :, -1], values[:, :, -1] = k[:rows, :, 0], v[:rows, :, 0]
        score = None if cache.score is None else cache.score[..., :end]
        return F.scaled_dot_product_attention(q[:rows], keys, values, attn_mask=score)


class WindowPass:
    """A pass over S tokens that stand in slots of their own in each row; slots [R, S]."""

    def __init__(self, cache: KeyValueCache, slots: Tensor, end: int) -> None:
        self.cache, self.slots = cache, slots
        self.end = min(-(-end // KEY_BLOCK) * KEY_BLOCK, cache.slots)
        places = torch.arange(self.end, device=slots.device)
        hidden = places > slots[:, None, :, None]  # [R, 1, S, end]
        score = 0.0 if cache.score is None else cache.score[..., : self.end]
        self.score = torch.zeros_like(hidden, dtype=cache.keys.dtype) + score
        self.score.masked_fill_(hidden, -torch.inf)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v in the tokens' slots; each attends to its own slot and those before it."""
        cache, rows = self.cache, self.cache.rows
        row = torch.arange(rows, device=self.slots.device)[:, None]
        keys, values = cache.keys[layer], cache.values[layer]
        keys[row, :, self.slots] = k[:rows].transpose(1, 2)
        values[row, :, self.slots] = v[:rows].transpose(1, 2)
        return F.scaled_dot_product_attention(
            q[:rows], keys[:, :, : self.end], values[:, :, : self.end], attn_mask=self.score
        )
