"""Class-conditional MaskGIT in its three published forms: a folder and a recipe to pixels.

A prompt names a class; so does a negative prompt, which guidance then leads away from instead of
from no class. The original model learned no dropped class: only a negative prompt guides it.
Recipes as published are in `maskgit_recipes.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from bakeoff.samplers.class_guided import ClassGuidedNetwork
from bakeoff.samplers.classes import FILE, Classes
from bakeoff.samplers.combinations import check_drawn_mask
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.guided import sample_in_groups
from bakeoff.samplers.networks.checkpoint import hash_model
from bakeoff.samplers.networks.compiled import compile_backbone
from bakeoff.samplers.networks.maskgit_files import Checkpoint, is_original, load_checkpoint
from bakeoff.samplers.networks.memory import keep_freed_memory
from bakeoff.samplers.networks.vq import to_uint8
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, check_batch
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.trace import Callback

NEGATIVE = "recipe negative_prompt"  # in errors


class MaskGITSampler:
    """A MaskGIT checkpoint that is loaded and ready."""

    family = "masked"

    def __init__(
        self, checkpoint: Checkpoint, classes: Classes, *, name: str, weights_hash: str
    ) -> None:
        self.checkpoint, self.classes = checkpoint, classes
        self.name, self.weights_hash = name, weights_hash
        self.transformer, self.tokenizer = checkpoint.transformer, checkpoint.tokenizer
        self.grid = self.transformer.config.grid
        self.device = next(self.transformer.parameters()).device

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
        """Read a checkpoint: `MaskGIT/` and `VQGAN/` with the files of any form, as published.

        `classes.json` beside them names the classes; see `Classes`. `resolution` is (height, width)
        in pixels, of which the network has one. `dtype` is that of the transformer alone;
        `compiled` has its blocks compiled when they first run.

        Raises:
            InputError: a file is missing or does not fit, or the resolution is not the network's.
        """
        folder = Path(folder)
        checkpoint = load_checkpoint(folder)
        config = checkpoint.transformer.config
        side = config.grid * checkpoint.factor
        if resolution not in (None, (side, side)):
            height, width = resolution
            raise InputError(
                f"resolution {height}x{width} must be {side}x{side}: {folder.name} knows no other"
            )
        if torch.device(device).type == "cpu":
            keep_freed_memory()
        checkpoint.transformer.to(device, dtype)
        checkpoint.tokenizer.to(device)
        if compiled:
            compile_backbone(checkpoint.transformer)
        return cls(
            checkpoint,
            Classes.from_folder(folder, config.classes),
            name=name or folder.name,
            weights_hash=hash_model(folder, dtype, compiled),
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

        Tokens not yet known have the network's id for them, above those of the codes and the mask.

        Raises:
            InputError: the recipe does not suit the model, prompts and seeds differ in number, or
                a prompt names no class.
        """
        recipe.check_family(self.family)
        check_original(recipe, self.checkpoint.form == "jax")
        check_batch(prompts, seeds)
        clock = Stopwatch(self.device)
        predict = self.predictor(prompts, recipe, clock)
        clock.lap("text")
        unknown, shape = self.transformer.unknown, (len(prompts), self.grid, self.grid)
        start = torch.full(shape, unknown, device=self.device)
        sample = sample_in_groups(predict, start, recipe, seeds, callback)
        # As officially, the last code stands for a mask that was drawn.
        codes = sample.tokens.clamp(max=self.transformer.config.codebook_size - 1)
        tokens = codes.cpu().numpy()
        clock.lap("draw")
        images = to_uint8(self.decode(codes)).cpu().numpy()
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
    ) -> ClassGuidedNetwork:
        """Return the guided network for a batch of prompts.

        Raises: InputError if one names no class.
        """
        labels = [self.classes.find(prompt) for prompt in prompts]
        negative = recipe.negative_prompt
        without = self.transformer.config.dropped
        if negative:
            without = self.classes.find(negative, NEGATIVE)
        return ClassGuidedNetwork(self.transformer, labels, without, clock)

    def decode(self, tokens: Tensor) -> Tensor:
        """Return images [B, 3, H, W] of tokens [B, h, w], one by one: no neighbour counts."""
        return torch.cat([self.checkpoint.decode(image) for image in tokens.split(1)])


def check_recipe(folder: Path, recipe: Recipe) -> None:
    """Check that a recipe suits the form in a checkpoint folder and its classes; loads no weights.

    Raises:
        InputError: it does not, or the file of classes is wrong.
    """
    check_original(recipe, is_original(folder))
    negative = recipe.negative_prompt
    # without names the weights alone tell how many numbers there are
    if negative and (not negative.isdigit() or (folder / FILE).exists()):
        Classes.from_folder(folder).find(negative, NEGATIVE)


def check_original(recipe: Recipe, original: bool) -> None:
    """Check that a recipe asks the original model for nothing that only the others predict.

    Raises:
        InputError: it does.
    """
    if not original:
        return
    check_drawn_mask(recipe, drawable=False)
    if recipe.uses_unconditional and not recipe.negative_prompt:
        raise InputError(
            "recipe guidance needs a negative_prompt that names a class: the original MaskGIT "
            "learned none without a class, so guidance_scale must be 1"
        )
