"""Keys and values of the tokens fed so far, and what a pass through the network does with them.

A pass is called by every layer with its queries, keys and values [R, H, S, hd]; it stores what
later passes need and returns what attention makes of them, [rows, H, S, hd].

All condition tokens share slot 0. Their keys are zero, so that every image token gives each of them
the score 0 and attention sees nothing but the mean of their values: one slot that holds this mean
and scores log(number of condition tokens) stands for them all. Image token n has slot 1 + n.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bakeoff.samplers.networks.attention import attention

# PyTorch's CPU kernel goes over the keys in blocks of this size. Only whole blocks of masked keys
# may be left out without a change of bits.
KEY_BLOCK = 512
# Slots that the rows grow by. Memory is read about twice as fast without gaps behind each row.
GROWTH = 32


class KeyValueCache:
    """Keys (after rotation) and values of R rows: memory for exactly the slots that N tokens need.

    Every row has room for `capacity` slots at a time, without a gap to the next one. Dtype and
    device are those of `like` [R, D].
    """

    def __init__(self, like: Tensor, *, layers: int, heads: int, slots: int) -> None:
        self.slots, self.filled = slots, 1  # as long as all rows are equally long
        self.shape = len(like), heads, min(GROWTH, slots), like.shape[1] // heads
        self.memory = like.new_zeros(2, layers, like.numel() * slots)
        self.keys, self.values = self._laid_out()  # [n_layer, R, H, capacity, hd]
        self.score = like.new_zeros(1, 1, 1, slots)  # of each slot, added to q k; or [R, 1, 1, N]

    @property
    def rows(self) -> int:
        """Rows that have a cache; those beyond them only pad the matrix products."""
        return self.shape[0]

    @property
    def capacity(self) -> int:
        """Slots that each row has room for now."""
        return self.shape[2]

    def weigh(self, kept: Tensor | None, tokens: int) -> None:
        """Set the score of slot 0, where the kept ones of T = `tokens` condition tokens stand.

        `kept` [R, T] is None if all are.
        """
        count = torch.full((1,), tokens) if kept is None else kept.sum(dim=1)
        self.score = self.score.repeat(len(count), 1, 1, 1)
        self.score[:, 0, 0, 0] = count.to(self.score).log()

    def keep(self, rows: Tensor) -> None:
        """Keep some of the rows, in the order given, and forget the others."""
        kept = self.keys[:, rows], self.values[:, rows]
        self.shape = len(rows), *self.shape[1:]
        self.keys, self.values = self._laid_out()
        self.keys.copy_(kept[0])
        self.values.copy_(kept[1])
        self.score = self.score if len(self.score) == 1 else self.score[rows]

    def grow(self, capacity: int) -> None:
        """Give each row room for more slots."""
        before, size = (self.keys, self.values), self.capacity
        self.shape = *self.shape[:2], min(capacity, self.slots), self.shape[3]
        self.keys, self.values = self._laid_out()
        for old, new in zip(before, (self.keys, self.values), strict=True):
            for layer in range(len(old)):  # in the same memory, so one of them has to step aside
                new[layer, :, :, :size] = old[layer].clone()

    def _laid_out(self) -> tuple[Tensor, Tensor]:
        keys, values = self.memory[..., : math.prod(self.shape)].unflatten(-1, self.shape)
        return keys, values


def _several(*tensors: Tensor) -> list[Tensor]:
    """Return tensors [R, ...] with a lone row twice: alone, its products may round otherwise."""
    return [torch.cat([x, x]) if len(x) == 1 else x for x in tensors]


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
        mean = torch.einsum("rhtd,rt->rhd", *_several(v[:rows], share))
        self.cache.values[layer, :, :, 0] = mean[:rows]
        return attention(q[:rows], k[:rows], v[:rows], self.mask)


class StepPass:
    """A pass over the next token of rows that are equally long: it looks at what is filled."""

    def __init__(self, cache: KeyValueCache) -> None:
        if cache.filled == cache.capacity:
            cache.grow(cache.capacity + GROWTH)
        self.cache = cache
        score = cache.score[..., : cache.capacity].clone()
        score[..., cache.filled + 1 :] = -torch.inf
        self.score = score.expand(*cache.shape[:2], 1, -1)  # [R, H, 1, capacity]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v in the next slot; attend to all slots filled."""
        cache, rows = self.cache, self.cache.rows
        keys, values = cache.keys[layer], cache.values[layer]
        keys[:, :, cache.filled] = k[:rows, :, 0]
        values[:, :, cache.filled] = v[:rows, :, 0]
        if q.is_cuda:
            return attention(q[:rows], keys, values, self.score)
        # on a CPU, products of all heads are faster for a single query than the fused kernel
        together = _several(q[:rows], keys, values, self.score)
        q, keys, values, score = (x.flatten(0, 1) for x in together)
        scores = torch.baddbmm(score, q, keys.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
        return torch.bmm(scores.softmax(dim=-1), values).unflatten(0, (-1, cache.shape[1]))[:rows]


class WindowPass:
    """A pass over S tokens that stand in slots of their own in each row; slots [R, S]."""

    def __init__(self, cache: KeyValueCache, slots: Tensor, end: int) -> None:
        if cache.capacity < cache.slots:
            cache.grow(cache.slots)
        self.cache, self.slots = cache, slots
        self.end = min(-(-end // KEY_BLOCK) * KEY_BLOCK, cache.slots)
        places = torch.arange(self.end, device=slots.device)
        unseen = places > slots[:, None, :, None]  # [R, 1, S, end]
        self.score = cache.score[..., : self.end].masked_fill(unseen, -torch.inf)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v in the tokens' slots; each attends to its own slot and those before it."""
        rows = self.cache.rows
        row = torch.arange(rows, device=self.slots.device)[:, None]
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        keys[row, :, self.slots] = k[:rows].transpose(1, 2)
        values[row, :, self.slots] = v[:rows].transpose(1, 2)
        return attention(q[:rows], keys[:, :, : self.end], values[:, :, : self.end], self.score)
