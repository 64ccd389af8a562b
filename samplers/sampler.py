"""What every sampler offers: prompts, seeds and a recipe in, pixels and their cost out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe


@dataclass(frozen=True)
class Generation:
    """A batch of images with what it took to make them.

    images: uint8 [B, H, W, 3]; tokens: int64 [B, h, w]; row_evaluations: network passes per image,
    each batch row counted; network_calls: passes of the batch; seconds: by stage (text, network,
    decode), for the whole batch.
    """

    images: np.ndarray
    tokens: np.ndarray
    row_evaluations: int
    network_calls: int
    seconds: dict[str, float]


class Sampler(Protocol):
    """A model that is loaded and ready: one checkpoint, one family of loops."""

    name: str
    family: str
    weights_hash: str

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], recipe: Recipe) -> Generation:
        """Make one image per (prompt, seed) pair.

        Raises:
            InputError: the recipe does not suit the family, or prompts and seeds differ in number.
        """
        ...


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
