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


def rotary_table(positions: Tensor, axes: Sequence[int]) -> Tensor:
    """Return cos + i sin, complex64 [S, hd / 2], for positions [S, axes]: one for each pair.

    `axes` gives the channels of each axis, together hd. Angles are computed in float64.
    """
    angles = []
    for axis, dim in enumerate(axes):
        frequencies = THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles.append(positions[:, axis, None].double().cpu() * frequencies)  # [S, dim / 2]
    angle = torch.cat(angles, dim=-1)
    return torch.complex(angle.cos(), angle.sin()).to(torch.complex64)


@lru_cache(maxsize=32)
def grid_table(
    text_length: int, height: int, width: int, axes: tuple[int, ...], device: torch.device
) -> Tensor:
    """Return the rotary table of a text followed by a token grid, computed once per shape."""
    # a tensor made in inference mode could not be used for training later
    with torch.inference_mode(False):
        return rotary_table(token_positions(text_length, height, width), axes).to(device)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Return x [B, H, S, hd] with channel pairs turned by a table [S, hd / 2], in x's dtype.

    As one complex product in float32, which reads and writes every number once.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)
