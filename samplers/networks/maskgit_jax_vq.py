"""The image tokenizer of the original MaskGIT (JAX): convolutions alone, pixels in [0, 1].

Modules have their flax names; see `flax_names.py`. One peculiarity is kept on purpose: where a
residual block changes the width, its shortcut takes the processed tensor and not the input.
Source: maskgit `nets/vqgan_tokenizer.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.llamagen_vq import GROUPS
from bakeoff.samplers.networks.vqgan import EPS, checked_widths, nearest
from bakeoff.samplers.networks.weight_shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class JaxVQConfig:
    """The sizes of a tokenizer; `widths` from the highest resolution to the lowest."""

    widths: tuple[int, ...]
    blocks: int  # residual ones of a level, and as many more at the lowest resolution
    code_dim: int
    codebook_size: int

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], source: str | Path) -> Self:
        """Return the sizes that the weights of a file have, by their flax names.

        Raises: InputError if weights are missing or their shapes impossible.
        """
        shapes = Shapes(tensors, source)
        levels = shapes.count("decoder/Conv_{}/kernel") - 1  # but for the ends, they go up
        found = shapes.count("encoder/ResBlock_{}/Conv_0/kernel")
        if levels < 1 or found % (levels + 1):
            raise InputError(
                f"{source}: {found} residual blocks of the encoder do not divide among "
                f"{levels} levels and its end"
            )
        blocks = found // (levels + 1)
        kernels = [f"encoder/ResBlock_{i * blocks}/Conv_0/kernel" for i in range(levels)]
        codes, code_dim = shapes.of("quantizer/codebook", 2)
        return cls(
            widths=checked_widths((shapes.of(kernel, 4)[3] for kernel in kernels), source),
            blocks=blocks,
            code_dim=code_dim,
            codebook_size=codes,
        )

    @property
    def factor(self) -> int:
        """Pixels a token covers along each side."""
        return 2 ** (len(self.widths) - 1)


def _conv(channels: int, out_channels: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, padding=1, bias=bias)


class ResBlock(nn.Module):
    """Two 3×3 convolutions behind norms, plus the input if it is as wide."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.GroupNorm_0 = nn.GroupNorm(GROUPS, channels, EPS)
        self.Conv_0 = _conv(channels, out_channels, bias=False)
        self.GroupNorm_1 = nn.GroupNorm(GROUPS, out_channels, EPS)
        self.Conv_1 = _conv(out_channels, out_channels, bias=False)
        if channels != out_channels:
            self.Conv_2 = nn.Conv2d(out_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, out_channels, h, w] for x [B, channels, h, w]."""
        h = self.Conv_0(F.silu(self.GroupNorm_0(x)))
        h = self.Conv_1(F.silu(self.GroupNorm_1(h)))
        return h + (self.Conv_2(h) if hasattr(self, "Conv_2") else x)


class Blocks(nn.Module):
    """Residual blocks, numbered through, in groups of one resolution."""

    def __init__(self, widths: Sequence[int], size: int) -> None:
        super().__init__()
        self.size, self.groups = size, (len(widths) - 1) // size
        for index, (channels, out_channels) in enumerate(pairwise(widths)):
            self.add_module(f"ResBlock_{index}", ResBlock(channels, out_channels))

    def group(self, x: Tensor, group: int) -> Tensor:
        """Run the blocks of a group, which keep height and width."""
        for index in range(group * self.size, (group + 1) * self.size):
            x = self.get_submodule(f"ResBlock_{index}")(x)
        return x


class Encoder(Blocks):
    """Image [B, 3, H, W] to latents [B, E, h, w]."""

    def __init__(self, config: JaxVQConfig) -> None:
        levels = [width for width in config.widths for _ in range(config.blocks)]
        lowest = [config.widths[-1]] * config.blocks
        super().__init__([config.widths[0], *levels, *lowest], config.blocks)
        self.Conv_0 = _conv(3, config.widths[0], bias=False)
        self.GroupNorm_0 = nn.GroupNorm(GROUPS, config.widths[-1], EPS)
        self.Conv_1 = nn.Conv2d(config.widths[-1], config.code_dim, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the latents."""
        x = self.Conv_0(image)
        for group in range(self.groups):
            x = self.group(x, group)
            if group < self.groups - 2:  # the last two are at the lowest resolution
                x = F.avg_pool2d(x, 2)
        return self.Conv_1(F.silu(self.GroupNorm_0(x)))


class Decoder(Blocks):
    """Codes [B, E, h, w] to an image [B, 3, H, W]."""

    def __init__(self, config: JaxVQConfig) -> None:
        down = config.widths[::-1]
        levels = [width for width in down for _ in range(config.blocks)]
        super().__init__([down[0], *[down[0]] * config.blocks, *levels], config.blocks)
        self.Conv_0 = _conv(config.code_dim, down[0], bias=True)
        for group, width in enumerate(down[:-1], start=1):
            self.add_module(f"Conv_{group}", _conv(width, width, bias=True))
        self.GroupNorm_0 = nn.GroupNorm(GROUPS, down[-1], EPS)
        self.add_module(f"Conv_{len(down)}", _conv(down[-1], 3, bias=True))

    def forward(self, codes: Tensor) -> Tensor:
        """Return the image, about in [0, 1]."""
        last = self.groups - 1
        x = self.group(self.Conv_0(codes), 0)
        for group in range(1, self.groups):
            x = self.group(x, group)
            if group < last:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
                x = self.get_submodule(f"Conv_{group}")(x)
        return self.get_submodule(f"Conv_{last}")(F.silu(self.GroupNorm_0(x)))


class Codebook(nn.Module):
    """The codes [C, E]."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codes, dim))


class JaxVQ(nn.Module):
    """Images [B, 3, H, W] in [0, 1] to token ids [B, h, w] and back.

    Source: maskgit `VQVAE`.
    """

    def __init__(self, config: JaxVQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantizer = Codebook(config.codebook_size, config.code_dim)

    def encode(self, image: Tensor) -> Tensor:
        """Return the token ids [B, h, w] of an image [B, 3, H, W]."""
        return nearest(self.encoder(image), self.quantizer.codebook)

    def decode(self, ids: Tensor) -> Tensor:
        """Return the image [B, 3, H, W], about in [0, 1], of token ids [B, h, w]."""
        return self.decoder(F.embedding(ids, self.quantizer.codebook).movedim(-1, 1))
