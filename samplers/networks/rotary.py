"""Rotary position embedding over several axes, adjacent channels paired (Meissonic, FLUX)."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

THETA = 10_000.0


def token_positions(text_length: int, height: int, width: int) -> Tensor:
    """Return [T + height·width, 3] positions: zeros for text, then (0, row, column) row by row."""
    rows = torch.arange(height).repeat_interleave(width)
    columns = torch.arange(width).repeat(height)
    image = torch.stack([torch.zeros_like(rows), rows, columns], dim=-1)
    return torch.cat([image.new_zeros(text_length, 3), image])


def rotary_table(positions: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [S, hd] in float32 for positions [S, axes].

    `axes` gives the channels of each axis, together hd; every value stands twice, once for each
    channel of its pair. Angles are computed in float64.
    """
    angles = []
    for axis, dim in enumerate(axes):
        frequencies = THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles.append(positions[:, axis, None].double().cpu() * frequencies)  # [S, dim / 2]
    angle = torch.cat(angles, dim=-1).repeat_interleave(2, dim=-1)
    return angle.cos().float(), angle.sin().float()


@lru_cache(maxsize=32)
def grid_table(
    text_length: int,
    height: int,
    width: int,
    axes: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return the rotary table of a text followed by a token grid, computed once per shape."""
    # a tensor made in inference mode could not be used for training later
    with torch.inference_mode(False):
        cos, sin = rotary_table(token_positions(text_length, height, width), axes)
        return cos.to(device, dtype), sin.to(device, dtype)


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Return x [B, H, S, hd] with channel pairs turned by a table [S, hd], in x's dtype.

    A float32 table makes the turn in float32 whatever x is.
    """
    cos, sin = table
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-second, first], dim=-1).flatten(-2)
    return (x * cos + turned * sin).to(x.dtype)
