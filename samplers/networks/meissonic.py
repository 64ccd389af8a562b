"""The Meissonic transformer: from tokens, text and timestep to logits.

Parameter names are those of the official checkpoints.
Source: Meissonic `transformer.py` (`Transformer2DModel`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.compiled import compile_backbone
from bakeoff.samplers.networks.linear import Linear
from bakeoff.samplers.networks.meissonic_blocks import (
    SINUSOID,
    Embedder,
    Modulation,
    Modulations,
    MultiModalBlock,
    Pointwise,
    Resample,
    RMSNorm,
    SingleBlock,
    TokenEmbedding,
    sinusoid,
)
from bakeoff.samplers.networks.rotary import grid_table

MICRO_CONDITIONS = 5
TIMESTEP_SCALE = 1000.0


@dataclass(frozen=True)
class MeissonicConfig:
    """The entries of `config.json` that shape the network, with the official defaults."""

    num_layers: int = 19
    num_single_layers: int = 38
    attention_head_dim: int = 128
    num_attention_heads: int = 24
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 768
    guidance_embeds: bool = False
    axes_dims_rope: tuple[int, ...] = (16, 56, 56)
    vocab_size: int = 8256
    codebook_size: int = 8192
    downsample: bool = False
    upsample: bool = False

    @property
    def width(self) -> int:
        """Channels of the backbone, D."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def mask_token_id(self) -> int:
        """The id that stands for a token not yet known."""
        return self.vocab_size - 1

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Return the configuration in a `config.json`, other keys left aside.

        Raises: InputError for entries that contradict each other.
        """
        known = {f.name: config[f.name] for f in fields(cls) if f.name in config}
        if "axes_dims_rope" in known:
            known["axes_dims_rope"] = tuple(known["axes_dims_rope"])
        return cls(**known)

    def __post_init__(self) -> None:
        axes = self.axes_dims_rope
        if len(axes) != 3 or sum(axes) != self.attention_head_dim or any(d % 2 for d in axes):
            raise InputError(
                f"axes_dims_rope {list(axes)} must be three even numbers that add up to "
                f"attention_head_dim ({self.attention_head_dim})"
            )
        if self.pooled_projection_dim != self.width:
            # the embedded condition, D channels, enters a layer made for P channels
            raise InputError(
                f"pooled_projection_dim {self.pooled_projection_dim} must equal "
                f"num_attention_heads * attention_head_dim ({self.width})"
            )
        if self.vocab_size <= self.codebook_size:
            raise InputError(
                f"vocab_size {self.vocab_size} must exceed codebook_size {self.codebook_size}: "
                "the last id is the mask"
            )
        if self.downsample != self.upsample:
            raise InputError("downsample and upsample must be both true or both false")


@dataclass(frozen=True)
class Condition:
    """What the network is told besides tokens and timestep, computed once per generation.

    context [B, T, D]: the text stream; vector [B, D]: pooled text and micro-conditions.
    """

    context: Tensor
    vector: Tensor

    def __len__(self) -> int:
        return len(self.vector)

    def __getitem__(self, rows: slice | Tensor | Sequence[int]) -> "Condition":
        return Condition(self.context[rows], self.vector[rows])

    @classmethod
    def cat(cls, parts: Sequence["Condition"]) -> "Condition":
        """Join along the batch; for guidance the unconditional rows come first."""
        return cls(torch.cat([p.context for p in parts]), torch.cat([p.vector for p in parts]))


class MeissonicTransformer(nn.Module):
    """Predicts the codes of masked image tokens from the known ones and the text.

    Source: Meissonic `transformer.py`, `Transformer2DModel.forward`.
    """

    def __init__(self, config: MeissonicConfig) -> None:
        super().__init__()
        self.config = config
        dim, pooled_dim = config.width, config.pooled_projection_dim
        shape = (config.num_attention_heads, config.attention_head_dim)
        embedders = {"timestep_embedder": Embedder(SINUSOID, dim)}
        if config.guidance_embeds:
            embedders["guidance_embedder"] = Embedder(SINUSOID, dim)
        embedders["text_embedder"] = Embedder(pooled_dim, dim)
        self.time_text_embed = nn.ModuleDict(embedders)
        self.context_embedder = Linear(config.joint_attention_dim, dim)
        self.encoder_proj_layer_norm = RMSNorm(dim)
        micro_dim = MICRO_CONDITIONS * SINUSOID
        self.cond_embed = Embedder(pooled_dim + micro_dim, dim, bias=False)
        self.embed = TokenEmbedding(config.vocab_size, dim)
        if config.downsample:
            self.down_block = nn.ModuleDict({"downsample": Resample(dim, nn.Conv2d)})
            self.up_block = nn.ModuleDict({"upsample": Resample(dim, nn.ConvTranspose2d)})
        self.project_to_hidden_norm = RMSNorm(dim)
        self.project_to_hidden = Linear(dim, dim, bias=False)
        self.transformer_blocks = nn.ModuleList(
            MultiModalBlock(*shape) for _ in range(config.num_layers)
        )
        self.single_transformer_blocks = nn.ModuleList(
            SingleBlock(*shape) for _ in range(config.num_single_layers)
        )
        self.project_from_hidden_norm = RMSNorm(dim)
        self.project_from_hidden = Linear(dim, dim, bias=False)
        self.mlm_layer = nn.ModuleDict(
            {
                "conv1": Pointwise(dim, dim),
                "layer_norm": RMSNorm(dim),
                "conv2": Pointwise(dim, config.codebook_size),
            }
        )

    def embed_condition(
        self,
        text_states: Tensor,
        pooled: Tensor,
        micro_conditions: Tensor,
        guidance: Tensor | None = None,
    ) -> Condition:
        """Return all that does not depend on tokens and timestep, once per generation.

        text_states [B, T, J]; pooled [B, P]; micro_conditions [B, 5]: width and height in pixels,
        crop offsets, aesthetic score; guidance [B] only for networks with `guidance_embeds`.
        """
        assert micro_conditions.shape == (len(pooled), MICRO_CONDITIONS)
        micro = sinusoid(micro_conditions).flatten(1).to(pooled.dtype)  # [B, 1280]
        embedders = self.time_text_embed
        vector = embedders["text_embedder"](self.cond_embed(torch.cat([pooled, micro], dim=-1)))
        if self.config.guidance_embeds:
            if guidance is None:
                raise InputError("guidance is missing: this network was trained with its scale")
            vector = vector + embedders["guidance_embedder"](sinusoid(_scaled(guidance)))
        states = text_states.to(self.context_embedder.weight.dtype)
        context = self.encoder_proj_layer_norm(self.context_embedder(states))
        return Condition(context, vector)

    def modulate(self, condition: Condition, timestep: Tensor) -> list[Modulations]:
        """Return the modulations of all blocks, which depend on nothing but vector and timestep.

        timestep [1] or [B]: 1000 times the mask ratio in training, the step index in sampling.
        """
        vector = self.time_text_embed["timestep_embedder"](sinusoid(_scaled(timestep)))
        vector = vector + condition.vector
        blocks = (*self.transformer_blocks, *self.single_transformer_blocks)
        return [block.modulations(vector) for block in blocks]

    def hidden(
        self,
        tokens: Tensor,
        condition: Condition,
        timestep: Tensor | None = None,
        modulations: Sequence[Modulations] | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        """Return what `head` projects to logits: [R, H·W, D] for token ids [B, H, W].

        The condition may hold several rows for each image, R = n B in groups of B: images enter the
        network once for all. `modulations`, if at hand, take the place of the timestep [1 or R].
        With `where` [B, H·W] only the positions it marks are returned, [n · marked, D].
        """
        if modulations is None:
            assert timestep is not None
            modulations = self.modulate(condition, timestep)
        features, context = self.features_in(tokens), condition.context
        height, width = features.shape[1:3]
        axes = self.config.axes_dims_rope
        table = grid_table(context.shape[1], height, width, axes, features.device)
        features = self.backbone(features, context, modulations, table)
        if self.config.upsample:
            features = self.up_block["upsample"](features)
        features = features.flatten(1, 2)
        if where is not None:
            features = features[where.repeat(len(features) // len(where), 1)]
        return self.mlm_layer["layer_norm"](self.mlm_layer["conv1"](features))

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits [..., C] for `hidden` [..., D]; linear and without bias."""
        return self.mlm_layer["conv2"](hidden)

    def forward(self, tokens: Tensor, condition: Condition, timestep: Tensor) -> Tensor:
        """Return logits [B, H·W, C] over the codes for token ids [B, H, W]."""
        return self.head(self.hidden(tokens, condition, timestep))

    def features_in(self, tokens: Tensor) -> Tensor:
        """Return the features [B, h, w, D] of token ids; h = H/2, w = W/2 if compressed."""
        features = self.embed(tokens)
        if self.config.downsample:
            if tokens.shape[1] % 2 or tokens.shape[2] % 2:
                raise InputError(
                    f"the token grid {tokens.shape[1]}x{tokens.shape[2]} must be even: this "
                    "network compresses it by two"
                )
            features = self.down_block["downsample"](features)
        return features

    def backbone(
        self, features: Tensor, context: Tensor, modulations: Sequence[Modulations], table: Tensor
    ) -> Tensor:
        """Run all blocks: [R, h, w, D] for features [B, h, w, D] and context [R, T, D]."""
        grid, length = features.shape[1:3], context.shape[1]
        image = self.project_to_hidden(self.project_to_hidden_norm(features.flatten(1, 2)))
        image = image.repeat(len(context) // len(image), 1, 1)
        joint = len(self.transformer_blocks)
        for block, modulation in zip(self.transformer_blocks, modulations[:joint], strict=True):
            image, context = block(image, context, modulation, table)
        sequence = torch.cat([context, image], dim=1)  # [R, T + h·w, D]
        singles = self.single_transformer_blocks
        for block, modulation in zip(singles, modulations[joint:], strict=True):
            sequence = block(sequence, modulation, table)
        image = self.project_from_hidden(self.project_from_hidden_norm(sequence[:, length:]))
        return image.unflatten(1, grid)

    def compile_blocks(self, **options: Any) -> None:
        """Compile the blocks; `options` go to `torch.compile`."""
        compile_backbone(self, **options)

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Set weights for training from scratch: every layer keeps its input's variance.

        Blocks begin half open and unmodulated.
        """
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, generator=generator)
            elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                transposed = isinstance(module, nn.ConvTranspose2d)
                inputs = len(module.weight) if transposed else module.weight[0].numel()
                nn.init.normal_(module.weight, std=inputs**-0.5, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Modulation):
                module.reset()


def _scaled(value: Tensor) -> Tensor:
    """In float32 whatever the network's dtype: half precision overflows from 66 on."""
    return value.float() * TIMESTEP_SCALE
