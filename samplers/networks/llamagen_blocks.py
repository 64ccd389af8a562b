"""The parts of LlamaGen's transformer: norm, rotation, cached attention, embedders of conditions.

Parameter names are those of the official checkpoints.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# What a pass does with each layer's queries, keys and values; see `key_value_cache.py`.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each pair of neighbouring components of x [..., hd] by table [..., hd / 2].

    The arithmetic is float32, the result has the dtype of x.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)


class RMSNorm(nn.Module):
    """Root-mean-square norm; its statistics are float32, its result has the input's dtype."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., D] normed."""
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Causal self-attention with rotated queries and keys."""

    def __init__(self, dim: int, n_head: int, layer: int) -> None:
        super().__init__()
        self.layer, self.n_head = layer, n_head
        self.wqkv = nn.Linear(dim, 3 * dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, table: Tensor, attend: Attend) -> Tensor:
        """Return [R, S, D] for x [R, S, D], rotated by table [R | 1, S, 1, 1, hd / 2]."""
        qkv = self.wqkv(x).unflatten(-1, (3, self.n_head, -1))  # [R, S, 3, H, hd]
        q, k = rotate(qkv[:, :, :2], table).permute(2, 0, 3, 1, 4)
        mixed = attend(self.layer, q, k, qkv[:, :, 2].transpose(1, 2)).transpose(1, 2).flatten(2)
        missing = x.shape[0] - mixed.shape[0]
        if missing:  # rows that only pad the matrix products have nothing to look at
            mixed = F.pad(mixed, (0, 0, 0, 0, 0, missing))
        return self.wo(mixed)


class FeedForward(nn.Module):
    """Gated feed-forward network (SwiGLU)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] for x [..., D]."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """One transformer layer: attention and feed-forward, each behind a norm."""

    def __init__(self, dim: int, hidden_dim: int, n_head: int, *, eps: float, layer: int) -> None:
        super().__init__()
        self.attention = Attention(dim, n_head, layer)
        self.feed_forward = FeedForward(dim, hidden_dim)
        self.attention_norm = RMSNorm(dim, eps)
        self.ffn_norm = RMSNorm(dim, eps)

    def forward(self, x: Tensor, table: Tensor, attend: Attend) -> Tensor:
        """Return [R, S, D] for x [R, S, D]; see `Attention` for the others."""
        x = x + self.attention(self.attention_norm(x), table, attend)
        return x + self.feed_forward(self.ffn_norm(x))


class LabelEmbedder(nn.Module):
    """Class ids to one token each; the last row is the unconditional class."""

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.embedding_table = nn.Embedding(num_classes + 1, dim)

    def forward(self, class_ids: Tensor) -> Tensor:
        """Return tokens [B, 1, D] of class ids [B]."""
        return self.embedding_table(class_ids)[:, None]

    def unconditional(self, batch: int) -> Tensor:
        """Return the unconditional class id, [B]."""
        return torch.full((batch,), self.num_classes, device=self.embedding_table.weight.device)


class CaptionMLP(nn.Module):
    """Two layers without bias: zero rows stay zero."""

    def __init__(self, caption_dim: int, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(caption_dim, dim, bias=False)
        self.fc2 = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] for x [..., caption_dim]."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class CaptionEmbedder(nn.Module):
    """Text states to as many tokens; the unconditional states are learned."""

    def __init__(self, caption_dim: int, length: int, dim: int) -> None:
        super().__init__()
        self.cap_proj = CaptionMLP(caption_dim, dim)
        self.uncond_embedding = nn.Parameter(torch.randn(length, caption_dim) / caption_dim**0.5)

    def forward(self, states: Tensor) -> Tensor:
        """Return tokens [B, T, D] of text states [B, T, caption_dim]."""
        return self.cap_proj(states.to(self.uncond_embedding.dtype))

    def unconditional(self, batch: int) -> Tensor:
        """Return the unconditional text states, [B, T, caption_dim]."""
        return self.uncond_embedding.expand(batch, -1, -1)
