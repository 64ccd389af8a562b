"""LlamaGen's image tokenizer (VQ-16, VQ-8): pixels to a grid of codebook indices and back.

Parameter names are those of the official checkpoints. Code vectors have unit length whenever they
are used, whatever length is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError, unknown
from bakeoff.samplers.networks.attention import attention

GROUPS = 32
# Settings of the official class that concern its training alone.
IGNORED_SETTINGS = frozenset(
    ("codebook_show_usage", "commit_loss_beta", "entropy_loss_ratio", "dropout_p")
)


@dataclass(frozen=True, kw_only=True)
class LlamaGenVQConfig:
    """The sizes of a LlamaGen tokenizer, under the official names; the defaults are VQ-16's."""

    codebook_size: int = 16384
    codebook_embed_dim: int = 8
    codebook_l2_norm: bool = True
    ch: int = 128
    encoder_ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    decoder_ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    z_channels: int = 256

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return the configuration that a checkpoint's `config.json` describes.

        Raises: InputError for an unknown setting or an impossible size.
        """
        known = {field.name for field in fields(cls)}
        given = {key: value for key, value in settings.items() if key not in IGNORED_SETTINGS}
        for key in given:
            if key not in known:
                raise unknown("LlamaGen tokenizer setting", key, known)
            if key.endswith("ch_mult"):
                given[key] = tuple(given[key])
        return cls(**given)

    def __post_init__(self) -> None:
        if not self.codebook_l2_norm:
            raise InputError("codebook_l2_norm must be true: every LlamaGen tokenizer has it")
        if self.ch < GROUPS or self.ch % GROUPS:
            raise InputError(f"ch must be a multiple of {GROUPS}, got {self.ch}")

    @property
    def downsampling(self) -> int:
        """Pixels per token, along one side."""
        return 2 ** (len(self.decoder_ch_mult) - 1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions behind norms, plus the input."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if channels != out_channels:
            self.nin_shortcut = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, out_channels, h, w] for x [B, channels, h, w]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttentionBlock(nn.Module):
    """One-headed self-attention over all positions, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h, w] for x of the same shape."""
        h = self.norm(x)
        q, k, v = (  # [B, 1, h * w, C]
            layer(h).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v)
        )
        mixed = attention(q, k, v)[:, 0].transpose(1, 2)
        return x + self.proj_out(mixed.unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    """Halve height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h / 2, w / 2] for x [B, C, h, w]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, 2h, 2w] for x [B, C, h, w]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The blocks of one resolution, then the step to the next one.

    `resample` is the official name and class of that step, or None at the end of the pyramid;
    attention follows every residual block at the lowest resolution only.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        blocks: int,
        *,
        attend: bool,
        resample: tuple[str, type[nn.Module]] | None,
    ) -> None:
        super().__init__()
        widths = [channels] + [out_channels] * blocks
        self.res = nn.ModuleList(map(ResidualBlock, widths[:-1], widths[1:]))
        self.attn = nn.ModuleList(AttentionBlock(out_channels) for _ in range(blocks * attend))
        self.resample = resample[0] if resample else None
        if resample:
            self.add_module(resample[0], resample[1](out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B, channels, h, w] one resolution further."""
        for index, block in enumerate(self.res):
            x = block(x)
            if len(self.attn):
                x = self.attn[index](x)
        return self.get_submodule(self.resample)(x) if self.resample else x


def _middle(channels: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(channels, channels),
        AttentionBlock(channels),
        ResidualBlock(channels, channels),
    )


class Encoder(nn.Module):
    """Image [B, 3, H, W] to latents [B, z_channels, h, w]."""

    def __init__(self, config: LlamaGenVQConfig) -> None:
        super().__init__()
        widths = [config.ch * multiplier for multiplier in config.encoder_ch_mult]
        self.conv_in = nn.Conv2d(3, config.ch, 3, padding=1)
        self.conv_blocks = _pyramid(
            [config.ch, *widths], config.num_res_blocks, lowest=len(widths) - 1, down=True
        )
        self.mid = _middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the latents."""
        h = self.mid(self.conv_blocks(self.conv_in(image)))
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    """Latents [B, z_channels, h, w] to an image [B, 3, H, W]."""

    def __init__(self, config: LlamaGenVQConfig) -> None:
        super().__init__()
        widths = [config.ch * multiplier for multiplier in reversed(config.decoder_ch_mult)]
        self.conv_in = nn.Conv2d(config.z_channels, widths[0], 3, padding=1)
        self.mid = _middle(widths[0])
        self.conv_blocks = _pyramid(
            [widths[0], *widths], config.num_res_blocks + 1, lowest=0, down=False
        )
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Return the image, about in [-1, 1]."""
        h = self.conv_blocks(self.mid(self.conv_in(latents)))
        return self.conv_out(F.silu(self.norm_out(h)))


def _pyramid(widths: Sequence[int], blocks: int, *, lowest: int, down: bool) -> nn.Sequential:
    resample = ("downsample", Downsample) if down else ("upsample", Upsample)
    last = len(widths) - 2
    return nn.Sequential(
        *(
            Level(
                widths[level],
                widths[level + 1],
                blocks,
                attend=level == lowest,
                resample=resample if level < last else None,
            )
            for level in range(last + 1)
        )
    )


class Quantizer(nn.Module):
    """The codebook: unit vectors, found by the largest cosine."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, dim)
        nn.init.uniform_(self.embedding.weight, -1.0, 1.0)

    def codes(self) -> Tensor:
        """Return the code vectors [K, C], each of length 1."""
        return F.normalize(self.embedding.weight, dim=-1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the indices [B, h, w] of the codes nearest to latents [B, C, h, w]."""
        directions = F.normalize(latents.permute(0, 2, 3, 1), dim=-1)
        return (directions @ self.codes().T).argmax(dim=-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Return the code vectors [B, C, h, w] at indices [B, h, w]."""
        return F.embedding(indices, self.codes()).permute(0, 3, 1, 2)


class LlamaGenVQ(nn.Module):
    """Images [B, 3, H, W] in [-1, 1] to indices [B, h, w] and back."""

    def __init__(self, config: LlamaGenVQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Quantizer(config.codebook_size, config.codebook_embed_dim)
        self.quant_conv = nn.Conv2d(config.z_channels, config.codebook_embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.codebook_embed_dim, config.z_channels, 1)

    def latents(self, image: Tensor) -> Tensor:
        """Return the latents [B, C, h, w] of an image, not yet of unit length."""
        return self.quant_conv(self.encoder(image))

    def encode(self, image: Tensor) -> Tensor:
        """Return the token grid [B, h, w] of an image [B, 3, H, W]."""
        return self.quantize.nearest(self.latents(image))

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Return the image [B, 3, H, W] of code vectors [B, C, h, w]."""
        return self.decoder(self.post_quant_conv(codes))

    def decode(self, indices: Tensor) -> Tensor:
        """Return the image [B, 3, H, W], about in [-1, 1], of a token grid [B, h, w]."""
        return self.decode_codes(self.quantize.lookup(indices))


def to_uint8(image: Tensor) -> Tensor:
    """Return pixels [B, H, W, 3] uint8 of an image [B, 3, H, W] in [-1, 1].

    Source: LlamaGen's batch samplers, which add 128 (not 127.5) and truncate.
    """
    return (127.5 * image + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return an image [B, 3, H, W] in another height and width.

    Source: LlamaGen's samplers for evaluation: bicubic, of floats, without antialiasing.
    """
    return F.interpolate(image, size=size, mode="bicubic")
