"""What a masked recipe costs, before it runs: network calls, and rows of them for each image."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakeoff.samplers.recipe import Recipe


def rows(scale: float) -> int:
    """Return the rows per image that a prediction evaluates: one where guidance drops the other."""
    return 1 if scale in (0.0, 1.0) else 2


def call_scales(recipe: "Recipe", steps: int) -> Iterator[float]:
    """Give the guidance scale of every network call of a masked recipe in N steps, in order."""
    zigzag = recipe.zigzag
    for step in range(steps):
        scale = recipe.guidance_at(step)
        yield scale
        if zigzag and zigzag.turns(step, steps):
            if zigzag.inverts:
                yield zigzag.guidance
            if zigzag.rule != "recover":  # which draws from the first prediction again
                yield scale


def network_calls(recipe: "Recipe", steps: int) -> int:
    """Return the network passes of a batch."""
    return sum(1 for _ in call_scales(recipe, steps))


def row_evaluations(recipe: "Recipe", steps: int) -> int:
    """Return the network passes of one image, each row of a call counted."""
    return sum(map(rows, call_scales(recipe, steps)))


def steps_within(recipe: "Recipe", budget: int, most: int) -> int:
    """Return the largest number of steps, up to `most`, that costs no more than a budget; or 0."""
    return bisect_right(
        range(1, most + 1), budget, key=lambda steps: row_evaluations(recipe, steps)
    )
