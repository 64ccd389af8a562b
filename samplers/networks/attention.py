"""Scaled dot-product attention, fast both when sampling and when training on a CPU."""

import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.networks.linear import fused, linear

LONG = 256  # from so many queries on, one head's products outweigh the cost of taking it alone


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return softmax(q kᵀ / √hd + mask) v.

    q [B, H, S, hd], k and v [B, H, T, hd]; `mask` broadcasts to [B, H, S, T] and is either boolean
    (True = may be looked at) or added to the scores. Returns [B, H, S, hd].
    """
    # PyTorch's fused backward pass is several times slower than the plain one on a CPU
    if q.device.type == "cpu" and torch.is_grad_enabled() and q.requires_grad:
        return _plain_attention(q, k, v, mask)
    if mask is None and q.shape[2] >= LONG and fused(q):
        return _attention_by_heads(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # [B, H, S, T]
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, float("-inf"))
    elif mask is not None:
        scores = scores + mask
    return scores.softmax(dim=-1) @ v


def _attention_by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head at a time, whose scores stay in the cache, through the products of `linear`."""
    mixed = torch.empty_like(q)
    heads = zip(
        (q * q.shape[-1] ** -0.5).flatten(0, 1),
        k.flatten(0, 1).contiguous(),
        v.transpose(-2, -1).flatten(0, 1).contiguous(),
        strict=True,
    )
    for head, (query, key, value) in enumerate(heads):
        scores = linear(query, key)  # [S, T]
        mixed[divmod(head, q.shape[1])] = linear(scores.softmax(dim=-1), value)
    return mixed
