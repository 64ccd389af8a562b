"""What every sampler offers: prompts, seeds and a recipe in, pixels and their cost out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe

if TYPE_CHECKING:  # torch comes with it, and listing models should not wait for that
    from bakeoff.samplers.trace import Callback


@dataclass(frozen=True)
class Generation:
    """A batch of images with what it took to make them.

    images: uint8 [B, H, W, 3]; tokens: int64 [B, h, w], [B, 0, 0] of a model that draws none;
    row_evaluations: int64 [B], network passes for an image, each row of it counted (and each
    position, where a pass predicts several); network_calls: int64 [B], passes that an image took
    part in; seconds: by stage (text, network, draw: from hidden states to codes, decode), for the
    whole batch.
    """

    images: np.ndarray
    tokens: np.ndarray
    row_evaluations: np.ndarray
    network_calls: np.ndarray
    seconds: dict[str, float]


class Sampler(Protocol):
    """A model that is loaded and ready: one checkpoint, one family of loops."""

    name: str
    family: str
    weights_hash: str  # of its files, and of dtype and compilation unless plain float32

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        recipe: Recipe,
        callback: "Callback | None" = None,
    ) -> Generation:
        """Make one image per (prompt, seed) pair; `callback` sees the tokens after every step.

        Raises:
            InputError: the recipe does not suit the family, or prompts and seeds differ in number.
        """
        ...


def check_generation(made: Generation, images: int) -> None:
    """Check what a sampler returned for so many images; one of another package may be wrong.

    Raises:
        ValueError: arrays are not those that `Generation` tells of.
    """
    shape, dtype = made.images.shape, made.images.dtype
    if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"images must be uint8 [B, H, W, 3], got {dtype} {list(shape)}")
    for name in ("images", "tokens", "row_evaluations", "network_calls"):
        if (found := len(getattr(made, name))) != images:
            raise ValueError(f"{name} must be of {images} images, got {found}")


def check_batch(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    """Check that there is one seed for each prompt, and at least one of both.

    Raises:
        InputError: there is not.
    """
    if not prompts or len(prompts) != len(seeds):
        raise InputError(
            f"prompts and seeds must be equally many and at least one, "
            f"got {len(prompts)} prompts and {len(seeds)} seeds"
        )
