"""The image tokenizer of MaskGIT's PyTorch reproduction, version 1: VQGAN of taming transformers.

Its blocks are those of LlamaGen's tokenizer under other names; codes keep their stored length.
Source: taming-transformers `modules/diffusionmodules/model.py`; its `model.yaml` for f16, 1024.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.llamagen_vq import (
    GROUPS,
    AttentionBlock,
    Downsample,
    ResidualBlock,
    Upsample,
)
from bakeoff.samplers.networks.weight_shapes import Shapes

EPS = 1e-6
# entries that official files hold besides the tokenizer: its critics in training
EXTRAS = ("loss.*",)


@dataclass(frozen=True, kw_only=True)
class VQGANConfig:
    """The sizes of a VQGAN; `widths` from the highest resolution to the lowest."""

    widths: tuple[int, ...]
    blocks: int  # residual ones of a level; the decoder has one more
    attended: frozenset[int]  # levels with attention
    z_channels: int
    code_dim: int
    codebook_size: int

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], source: str | Path) -> Self:
        """Return the sizes that the weights of a file have.

        Raises: InputError if weights are missing or their shapes impossible.
        """
        shapes = Shapes(tensors, source)
        levels = range(shapes.count("encoder.down.{}.block.0.conv1.weight"))
        codes, code_dim = shapes.of("quantize.embedding.weight", 2)
        return cls(
            widths=checked_widths(
                (shapes.of(f"encoder.down.{i}.block.0.conv2.weight", 4)[0] for i in levels), source
            ),
            blocks=shapes.count("encoder.down.0.block.{}.conv1.weight"),
            attended=frozenset(i for i in levels if f"encoder.down.{i}.attn.0.q.weight" in shapes),
            z_channels=shapes.of("encoder.conv_out.weight", 4)[0],
            code_dim=code_dim,
            codebook_size=codes,
        )

    @property
    def factor(self) -> int:
        """Pixels a token covers along each side."""
        return 2 ** (len(self.widths) - 1)


def checked_widths(widths: Iterable[int], source: str | Path) -> tuple[int, ...]:
    """Return the widths of a tokenizer's levels.

    Raises: InputError if group norms cannot divide one.
    """
    found = tuple(widths)
    for width in found:
        if width % GROUPS:
            raise InputError(f"{source}: a level is {width} wide, which is no multiple of {GROUPS}")
    return found


class Level(nn.Module):
    """The blocks of one resolution, then the step to the next one, if there is one."""

    def __init__(
        self,
        channels: int,
        out_channels: int,
        blocks: int,
        *,
        attend: bool,
        resample: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        widths = [channels] + [out_channels] * blocks
        self.block = nn.ModuleList(map(ResidualBlock, widths[:-1], widths[1:]))
        self.attn = nn.ModuleList(AttentionBlock(out_channels) for _ in range(blocks * attend))
        self.steps = tuple(resample)
        for name, step in resample.items():
            self.add_module(name, step)

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B, channels, h, w] one resolution further."""
        for index, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[index](x)
        for name in self.steps:
            x = self.get_submodule(name)(x)
        return x


class Middle(nn.Module):
    """Two residual blocks around an attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = AttentionBlock(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, channels, h, w] for x of that shape."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Image [B, 3, H, W] to features [B, z channels, h, w]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            Level(
                widths[max(level - 1, 0)],
                width,
                config.blocks,
                attend=level in config.attended,
                resample={"downsample": Downsample(width)} if level < last else {},
            )
            for level, width in enumerate(widths)
        )
        self.mid = Middle(widths[-1])
        self.norm_out = nn.GroupNorm(GROUPS, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the features."""
        x = self.conv_in(image)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Features [B, z channels, h, w] to an image [B, 3, H, W]; runs through `up` from its end."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList(
            Level(
                widths[min(level + 1, last)],
                width,
                config.blocks + 1,
                attend=level in config.attended,
                resample={"upsample": Upsample(width)} if level > 0 else {},
            )
            for level, width in enumerate(widths)
        )
        self.norm_out = nn.GroupNorm(GROUPS, widths[0], EPS)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the image, about in [-1, 1]."""
        x = self.mid(self.conv_in(features))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Codebook(nn.Module):
    """The codes [C, E]."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)


def nearest(latents: Tensor, codes: Tensor) -> Tensor:
    """Return the ids [B, h, w] of the codes [C, E] nearest to latents [B, E, h, w]."""
    flat = latents.movedim(1, -1)  # [B, h, w, E]
    # |z|² is the same for all codes and is left out
    return (codes.square().sum(dim=-1) - 2 * flat @ codes.T).argmin(dim=-1)


class VQGAN(nn.Module):
    """Images [B, 3, H, W] in [-1, 1] to token ids [B, h, w] and back.

    Source: taming-transformers `VQModel`.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Codebook(config.codebook_size, config.code_dim)
        self.quant_conv = nn.Conv2d(config.z_channels, config.code_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.code_dim, config.z_channels, 1)

    def latents(self, image: Tensor) -> Tensor:
        """Return [B, E, h, w], not yet quantised, of an image."""
        return self.quant_conv(self.encoder(image))

    def encode(self, image: Tensor) -> Tensor:
        """Return the token ids [B, h, w] of an image [B, 3, H, W]."""
        return nearest(self.latents(image), self.quantize.embedding.weight)

    def lookup(self, ids: Tensor) -> Tensor:
        """Return the codes [B, E, h, w] of token ids [B, h, w]."""
        return self.quantize.embedding(ids).movedim(-1, 1)

    def decode(self, ids: Tensor) -> Tensor:
        """Return the image [B, 3, H, W], about in [-1, 1], of token ids [B, h, w]."""
        return self.decoder(self.post_quant_conv(self.lookup(ids)))
