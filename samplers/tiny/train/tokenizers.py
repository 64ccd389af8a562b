"""Training of the two image tokenizers, in diffusers' and in LlamaGen's format.

The world's dictionary of patches is known, so code k is patch k by supervision: no synonyms, no
dead codes, and both generators read and write the same token numbers.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig
from bakeoff.samplers.networks.vq import VQConfig, VQModel
from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.train.generators import write_weights
from bakeoff.samplers.tiny.train.loop import Trainable, half_precision

CODE_SHARPNESS = 20.0  # of the softmax over code distances that trains the encoder


def batch(rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Return tokens [B, 8, 8] of scenes and their pictures [B, 3, 64, 64] in [0, 1].

    A fifth of the cells holds a random patch, so that decoding does not lean on neighbours.
    """
    tokens = np.stack([world.tokens(grammar.sample(rng)[1]) for _ in range(size)])
    noise = rng.integers(0, world.vocabulary_size(), tokens.shape)
    tokens = np.where(rng.random(tokens.shape) < 0.2, noise, tokens)
    images = torch.from_numpy(world.render_tokens(tokens)).permute(0, 3, 1, 2).float() / 255
    return torch.from_numpy(tokens), images


def principal_codes(dim: int) -> Tensor:
    """Return a first codebook [V, dim]: the patches' principal components at unit variance."""
    pixels = torch.from_numpy(world.patches()).flatten(1).float()
    left, _, _ = torch.linalg.svd(pixels - pixels.mean(dim=0), full_matrices=False)
    return left[:, :dim] * len(left) ** 0.5


def picture_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Return the mean of absolute and squared errors, pixels off the background counting more."""
    background = torch.tensor(world.BACKGROUND).view(1, 3, 1, 1) / 255
    weight = 1 + 3 * ((images - background).abs().amax(dim=1, keepdim=True) > 0.02)
    error = decoded.float() - images
    return (weight * (error.abs() + 4 * error.square())).mean()


class TinyVQModel(Trainable):
    """The tokenizer of tiny-meissonic."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.config = VQConfig(
            block_out_channels=(32, 32, 64, 64),
            layers_per_block=1,
            latent_channels=16,
            num_vq_embeddings=world.vocabulary_size(),
            norm_num_groups=8,
            mid_block_add_attention=False,
        )
        self.network = VQModel(self.config)
        with torch.no_grad():
            self.network.quantize.embedding.weight.copy_(principal_codes(16))

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the picture loss of the true codes, plus the encoder's code cross-entropy."""
        tokens, images = batch(rng, size)
        codes = self.network.quantize.embedding.weight
        with half_precision():
            decoded = self.network.decode(tokens)
            latents = self.network.latents(images)
        latents = latents.float().movedim(1, -1).flatten(0, -2)  # [B·64, E]
        nearness = -torch.cdist(latents, codes).square() * (CODE_SHARPNESS / codes.shape[1])
        return picture_loss(decoded, images) + 0.1 * F.cross_entropy(nearness, tokens.flatten())

    def export(self, folder: Path) -> None:
        """Write the tokenizer in diffusers' layout."""
        levels = len(self.config.block_out_channels)
        config = {
            "_class_name": "VQModel",
            **vars(self.config),
            "act_fn": "silu",
            "norm_type": "group",
            "lookup_from_codebook": True,
            "force_upcast": True,
            "sample_size": world.SIZE,
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
        }
        write_weights(folder, self.network, config, "diffusion_pytorch_model")


class TinyLlamaGenVQ(Trainable):
    """The tokenizer of tiny-llamagen: LlamaGen's VQ-8 at a quarter of its width."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.config = LlamaGenVQConfig(
            codebook_size=world.vocabulary_size(),
            codebook_embed_dim=8,
            ch=32,
            encoder_ch_mult=(1, 1, 2, 2),
            decoder_ch_mult=(1, 1, 2, 2),
            num_res_blocks=1,
            z_channels=64,
        )
        self.network = LlamaGenVQ(self.config)
        with torch.no_grad():
            self.network.quantize.embedding.weight.copy_(principal_codes(8))

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the picture loss of the true codes, plus the encoder's code cross-entropy."""
        tokens, images = batch(rng, size)
        with half_precision():
            decoded = self.network.decode(tokens)
            latents = self.network.latents(2 * images - 1)
        directions = F.normalize(latents.float(), dim=1).movedim(1, -1).flatten(0, -2)
        nearness = CODE_SHARPNESS * directions @ self.network.quantize.codes().T
        picture = picture_loss((decoded.float() + 1) / 2, images)
        return picture + 0.1 * F.cross_entropy(nearness, tokens.flatten())

    def export(self, folder: Path) -> None:
        """Write the tokenizer in the layout of our LlamaGen folders."""
        write_weights(folder, self.network, vars(self.config), "model")
