"""The image tokenizer of Meissonic: a convolutional autoencoder around a codebook.

Files and parameter names are those of diffusers' `VQModel`.
Source: diffusers `models/autoencoders/vq_model.py`, `vae.py`; Meissonic's `vqvae/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.attention import attention

EPS = 1e-6
# what other values of these entries would mean is not built
ONLY = {"act_fn": "silu", "norm_type": "group", "lookup_from_codebook": True}
ONLY_BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}


@dataclass(frozen=True)
class VQConfig:
    """The entries of `config.json` that shape the tokenizer, with diffusers' defaults."""

    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    latent_channels: int = 3
    num_vq_embeddings: int = 256
    norm_num_groups: int = 32
    vq_embed_dim: int | None = None
    mid_block_add_attention: bool = True
    force_upcast: bool = False  # half precision is not enough: run in float32

    @property
    def factor(self) -> int:
        """Pixels a token covers along each side."""
        return 2 ** (len(self.block_out_channels) - 1)

    @property
    def embed_dim(self) -> int:
        """Channels of a code, E."""
        return self.vq_embed_dim or self.latent_channels

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Return the configuration in a `config.json`, entries without effect left aside.

        Raises: InputError for entries that contradict each other or ask for another architecture.
        """
        for key, only in ONLY.items():
            if config.get(key, only) != only:
                raise InputError(f"{key} {config[key]!r} is not supported; only {only!r} is")
        for key, only in ONLY_BLOCKS.items():
            others = [name for name in config.get(key, ()) if name != only]
            if others:
                raise InputError(f"{key} {others[0]!r} is not supported; only {only!r} is")
        known = {f.name: config[f.name] for f in fields(cls) if f.name in config}
        if "block_out_channels" in known:
            known["block_out_channels"] = tuple(known["block_out_channels"])
        return cls(**known)

    def __post_init__(self) -> None:
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise InputError(
                    f"block_out_channels {list(self.block_out_channels)} must be multiples of "
                    f"norm_num_groups ({self.norm_num_groups})"
                )


class ResnetBlock(nn.Module):
    """Two normed 3×3 convolutions around a shortcut."""

    def __init__(self, in_dim: int, dim: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_dim, EPS)
        self.conv1 = nn.Conv2d(in_dim, dim, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, dim, EPS)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)
        if in_dim != dim:
            self.conv_shortcut = nn.Conv2d(in_dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, dim, H, W] for x [B, in_dim, H, W]."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class PixelAttention(nn.Module):
    """Self-attention of all places of a feature map, one head over all channels."""

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, dim, EPS)
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.Sequential(nn.Linear(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B, dim, H, W] with what each place took from the others added."""
        y = self.group_norm(x).flatten(2).transpose(1, 2)[:, None]  # [B, 1, H·W, dim]
        y = self.to_out(attention(self.to_q(y), self.to_k(y), self.to_v(y)))
        return x + y[:, 0].transpose(1, 2).unflatten(-1, x.shape[2:])


class MidBlock(nn.Module):
    """Two resnet blocks with an optional attention between them."""

    def __init__(self, dim: int, groups: int, with_attention: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(dim, dim, groups) for _ in range(2))
        # no entry at all when switched off, as in the official files
        self.attentions = nn.ModuleList([PixelAttention(dim, groups)] if with_attention else [])

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, dim, H, W] for x of that shape."""
        x = self.resnets[0](x)
        for attend in self.attentions:
            x = attend(x)
        return self.resnets[1](x)


class Downsample(nn.Module):
    """Half the size: a 3×3 convolution of stride 2, padded right and below only."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, dim, H/2, W/2] for x [B, dim, H, W]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size: each place repeated, then a 3×3 convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, dim, 2H, 2W] for x [B, dim, H, W]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class EncoderLevel(nn.Module):
    """The resnet blocks of one resolution, then the step to the next lower one."""

    def __init__(self, in_dim: int, dim: int, layers: int, groups: int, last: bool) -> None:
        super().__init__()
        self.resnets = _resnets(in_dim, dim, layers, groups)
        self.downsamplers = nn.ModuleList([] if last else [Downsample(dim)])

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, dim, H/2, W/2] (last level: H, W) for x [B, in_dim, H, W]."""
        for module in (*self.resnets, *self.downsamplers):
            x = module(x)
        return x


class DecoderLevel(nn.Module):
    """The resnet blocks of one resolution, then the step to the next higher one."""

    def __init__(self, in_dim: int, dim: int, layers: int, groups: int, last: bool) -> None:
        super().__init__()
        self.resnets = _resnets(in_dim, dim, layers, groups)
        self.upsamplers = nn.ModuleList([] if last else [Upsample(dim)])

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, dim, 2H, 2W] (last level: H, W) for x [B, in_dim, H, W]."""
        for module in (*self.resnets, *self.upsamplers):
            x = module(x)
        return x


def _resnets(in_dim: int, dim: int, layers: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(ResnetBlock(d, dim, groups) for d in [in_dim] + [dim] * (layers - 1))


class Encoder(nn.Module):
    """Image to features, from the highest resolution to the lowest."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        dims, groups = config.block_out_channels, config.norm_num_groups
        last = len(dims) - 1
        self.conv_in = nn.Conv2d(config.in_channels, dims[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            EncoderLevel(dims[max(i - 1, 0)], dim, config.layers_per_block, groups, i == last)
            for i, dim in enumerate(dims)
        )
        self.mid_block = MidBlock(dims[-1], groups, config.mid_block_add_attention)
        self.conv_norm_out = nn.GroupNorm(groups, dims[-1], EPS)
        self.conv_out = nn.Conv2d(dims[-1], config.latent_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return features [B, latent channels, h, w] of an image [B, 3, H, W]."""
        x = self.conv_in(image)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """Features to image, one resnet block a level more than the encoder."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        dims, groups = config.block_out_channels[::-1], config.norm_num_groups
        last = len(dims) - 1
        self.conv_in = nn.Conv2d(config.latent_channels, dims[0], 3, padding=1)
        self.mid_block = MidBlock(dims[0], groups, config.mid_block_add_attention)
        self.up_blocks = nn.ModuleList(
            DecoderLevel(dims[max(i - 1, 0)], dim, config.layers_per_block + 1, groups, i == last)
            for i, dim in enumerate(dims)
        )
        self.conv_norm_out = nn.GroupNorm(groups, dims[-1], EPS)
        self.conv_out = nn.Conv2d(dims[-1], config.out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return an image [B, 3, H, W] for features [B, latent channels, h, w]."""
        x = self.mid_block(self.conv_in(features))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Codebook(nn.Module):
    """The codes [C, E]."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Return codes [..., E] of token ids [...]."""
        return self.embedding(ids)


class VQModel(nn.Module):
    """Image to token ids and back.

    Source: diffusers `VQModel`; Meissonic decodes by looking ids up in the codebook.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(config.latent_channels, config.embed_dim, 1)
        self.quantize = Codebook(config.num_vq_embeddings, config.embed_dim)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.latent_channels, 1)
        self.decoder = Decoder(config)

    @property
    def codebook(self) -> Tensor:
        """The codes [C, E]."""
        return self.quantize.embedding.weight

    def encode(self, image: Tensor) -> Tensor:
        """Return token ids [B, h, w] of an image [B, 3, H, W] in [0, 1]."""
        return self.nearest(self.latents(image))

    def latents(self, image: Tensor) -> Tensor:
        """Return [B, E, h, w], not yet quantised, of an image [B, 3, H, W] in [0, 1]."""
        return self.quant_conv(self.encoder(image))

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the ids [B, h, w] of the codes at the least Euclidean distance."""
        flat = latents.permute(0, 2, 3, 1).float()  # [B, h, w, E]
        codes = self.codebook.float()
        # |z|² is the same for all codes and is left out
        distance = codes.square().sum(dim=-1) - 2 * flat @ codes.T  # [B, h, w, C]
        return distance.argmin(dim=-1)

    def lookup(self, ids: Tensor) -> Tensor:
        """Return the codes [B, E, h, w] of token ids [B, h, w]."""
        return self.quantize(ids).permute(0, 3, 1, 2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Return an image [B, 3, H, W], not clipped, for codes [B, E, h, w]."""
        return self.decoder(self.post_quant_conv(latents))

    def decode(self, ids: Tensor) -> Tensor:
        """Return an image [B, 3, H, W], about [0, 1] but not clipped, for token ids [B, h, w]."""
        return self.decode_latents(self.lookup(ids))


def to_uint8(image: Tensor) -> Tensor:
    """Return [B, H, W, 3] in uint8 for an image [B, 3, H, W] in [0, 1], clipped and rounded."""
    return image.float().clip(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
