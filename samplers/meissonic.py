"""Meissonic and its relatives: a checkpoint folder and a recipe to pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from bakeoff.samplers.combinations import check_drawn_mask, check_redrawn
from bakeoff.samplers.errors import InputError, shown
from bakeoff.samplers.exactness import keep_bits
from bakeoff.samplers.guided import GuidedNetwork, sample_in_groups
from bakeoff.samplers.networks.checkpoint import hash_model, load_config, load_state, load_weights
from bakeoff.samplers.networks.clip_text import ClipTextEncoder
from bakeoff.samplers.networks.meissonic import Condition, MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.memory import keep_freed_memory
from bakeoff.samplers.networks.vq import VQConfig, VQModel, to_uint8
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, check_batch
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.trace import Callback

AESTHETIC_SCORE = 6.0
RELEASED_SIDES = {True: 1024, False: 512}  # pixels of the releases with and without compression


class MeissonicSampler:
    """A Meissonic checkpoint that is loaded and ready."""

    family = "masked"

    def __init__(
        self,
        transformer: MeissonicTransformer,
        tokenizer: VQModel,
        text_encoder: ClipTextEncoder,
        *,
        name: str,
        weights_hash: str,
        resolution: tuple[int, int],
    ) -> None:
        self.transformer, self.tokenizer, self.text_encoder = transformer, tokenizer, text_encoder
        self.name, self.weights_hash = name, weights_hash
        self.height, self.width = resolution
        factor = tokenizer.config.factor
        self.grid = (self.height // factor, self.width // factor)
        self.device = next(transformer.parameters()).device

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        resolution: tuple[int, int] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> Self:
        """Read a checkpoint in the official layout; `resolution` is (height, width) in pixels.

        Without a resolution the transformer's `sample_size` tokens per side are taken, and without
        that entry the size of the official release of its architecture. `dtype` is that of the
        transformer alone; `compiled` has its blocks compiled when they first run.

        Raises:
            InputError: a file is missing or does not fit, or the resolution is no whole number of
                tokens.
        """
        folder = Path(folder)
        entries = load_config(folder / "transformer")
        config = MeissonicConfig.from_dict(entries)
        transformer = MeissonicTransformer(config)
        load_state(transformer, load_weights(folder / "transformer"), source=folder / "transformer")
        if torch.device(device).type == "cpu":
            keep_freed_memory()
        transformer.eval().to(device, dtype)
        keep_bits(transformer)
        if compiled:
            transformer.compile_blocks()
        tokenizer = VQModel(VQConfig.from_dict(load_config(folder / "vqvae")))
        load_state(tokenizer, load_weights(folder / "vqvae"), source=folder / "vqvae")
        text_encoder = ClipTextEncoder.from_folder(folder / "text_encoder", folder / "tokenizer")
        nn.Module.to(text_encoder.model, device)
        factor = tokenizer.config.factor
        if resolution is None:
            side = _tokens_a_side(folder, entries, factor) * factor
            resolution = (side, side)
        _check_resolution(resolution, factor * (2 if config.downsample else 1))
        return cls(
            transformer,
            tokenizer.eval().to(device),
            text_encoder,
            name=name or folder.name,
            weights_hash=hash_model(folder, dtype, compiled),
            resolution=resolution,
        )

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        recipe: Recipe,
        callback: Callback | None = None,
    ) -> Generation:
        """Make one image per (prompt, seed) pair; `callback` sees the tokens after every change.

        Raises:
            InputError: the recipe does not suit the family, or prompts and seeds differ in number.
        """
        recipe.check_family(self.family)
        check_batch(prompts, seeds)
        clock = Stopwatch(self.device)
        predict = self.predictor(prompts, recipe, clock)
        clock.lap("text")
        mask = self.transformer.config.mask_token_id
        start = torch.full((len(prompts), *self.grid), mask, device=self.device)
        sample = sample_in_groups(predict, start, recipe, seeds, callback)
        tokens = sample.tokens.cpu().numpy()
        clock.lap("draw")
        images = to_uint8(self.decode(sample.tokens)).cpu().numpy()
        clock.lap("decode")
        return Generation(
            images=images,
            tokens=tokens,
            row_evaluations=np.full(len(prompts), sample.row_evaluations),
            network_calls=np.full(len(prompts), sample.network_calls),
            seconds=clock.seconds(),
        )

    def predictor(
        self, prompts: Sequence[str], recipe: Recipe, clock: Stopwatch | None = None
    ) -> GuidedNetwork:
        """Return the guided network for a batch of prompts; each distinct one is encoded once."""
        distinct = list(dict.fromkeys([recipe.negative_prompt, *prompts]))
        embedded = Condition.cat([self.condition(text) for text in distinct])
        rows = [distinct.index(prompt) for prompt in prompts]
        return GuidedNetwork(self.transformer, embedded, rows, clock)

    def condition(self, prompt: str) -> Condition:
        """Return what the network is told of one prompt, alone so that no neighbour counts."""
        states, pooled = self.text_encoder.encode([prompt])
        micro = torch.tensor([[self.width, self.height, 0.0, 0.0, AESTHETIC_SCORE]])
        return self.transformer.embed_condition(states, pooled, micro.to(self.device))

    def decode(self, tokens: Tensor) -> Tensor:
        """Return images [B, 3, H, W] of tokens [B, h, w], one by one: no neighbour counts."""
        return torch.cat([self.tokenizer.decode(image) for image in tokens.split(1)])


def check_recipe(folder: Path, recipe: Recipe) -> None:
    """Check that a recipe suits the configuration in a checkpoint folder; loads nothing.

    Raises:
        InputError: it does not, or the configuration cannot be read.
    """
    check_drawn_mask(recipe, drawable=False)
    entries = load_config(folder / "transformer")
    factor = VQConfig.from_dict(load_config(folder / "vqvae")).factor
    check_redrawn(recipe, _tokens_a_side(folder, entries, factor) ** 2)


def _tokens_a_side(folder: Path, entries: Mapping[str, Any], factor: int) -> int:
    """Return how many tokens, of `factor` pixels, a picture has a side unless it is told."""
    tokens = entries.get("sample_size")
    if tokens is None:
        return RELEASED_SIDES[MeissonicConfig.from_dict(entries).downsample] // factor
    if type(tokens) is not int or tokens < 1:
        raise InputError(
            f"{folder / 'transformer/config.json'}: sample_size must be a whole number from 1, "
            f"got {shown(tokens)}"
        )
    return tokens


def _check_resolution(resolution: tuple[int, int], unit: int) -> None:
    if any(side < unit or side % unit for side in resolution):
        height, width = resolution
        raise InputError(
            f"resolution {height}x{width} must be whole multiples of {unit} pixels for this model"
        )
