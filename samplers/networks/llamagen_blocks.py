"""The parts of LlamaGen's transformer: norm, rotation, cached attention, embedders of conditions.

Parameter names are those of the official checkpoints.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.networks.attention import attention


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each pair of neighbouring components of x [..., S, hd] by table [S, hd / 2].

    The arithmetic is float32, the result has the dtype of x.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)


@dataclass
class KeyValueCache:
    """Keys (after rotation) and values of the `length` slots fed so far, with room for all."""

    rows: int  # sequences asked for; the buffers may hold repeated ones beyond them
    keys: Tensor  # [n_layer, R, H, T + N, hd]
    values: Tensor
    kept: Tensor | None  # condition and image slots worth looking at, boolean [R, 1, 1, T + N]
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
        """Return x [..., D] normed."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.weight.to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with rotated queries and keys."""

    def __init__(self, dim: int, n_head: int, layer: int) -> None:
        super().__init__()
        self.layer, self.n_head = layer, n_head
        self.wqkv = nn.Linear(dim, 3 * dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Tensor, table: Tensor, mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """Return [R, S, D] for x [R, S, D], which a cache puts behind the slots it holds."""
        qkv = self.wqkv(x).unflatten(-1, (3, self.n_head, -1))  # [R, S, 3, H, hd]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, table), rotate(k, table)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        return self.wo(attention(q, k, v, mask).transpose(1, 2).flatten(2))


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

    def forward(
        self, x: Tensor, table: Tensor, mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """Return [R, S, D] for x [R, S, D]."""
        x = x + self.attention(self.attention_norm(x), table, mask, cache)
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
        return self.cap_proj(states.to(self.cap_proj.fc1.weight.dtype))

    def unconditional(self, batch: int) -> Tensor:
        """Return the unconditional text states, [B, T, caption_dim]."""
        return self.uncond_embedding.expand(batch, -1, -1)
