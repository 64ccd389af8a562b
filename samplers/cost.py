"""What a recipe costs, before it runs: network calls, and rows of them for each image."""

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
        scale = recipe.guidance_at(step, steps)
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
    """Return the network passes of one image of a masked model, each row of a call counted."""
    return sum(map(rows, call_scales(recipe, steps)))


def steps_within(recipe: "Recipe", budget: int, most: int) -> int:
    """Return the largest number of steps, up to `most`, that costs no more than a budget; or 0."""
    return bisect_right(
        range(1, most + 1), budget, key=lambda steps: row_evaluations(recipe, steps)
    )


def guided_positions(recipe: "Recipe", tokens: int) -> range:
    """Return which of N positions an autoregressive model guides.

    Rows without the condition are fed from the first position to the end of this range, since the
    later ones look at the earlier ones; then they are dropped.
    """
    start, stop = recipe.guidance_interval or (0, tokens)
    if recipe.guidance_scale == 1 or start >= tokens:
        return range(0)
    return range(start, min(stop, tokens))


def token_evaluations(recipe: "Recipe", tokens: int) -> int:
    """Return the row-evaluations of one image of N tokens, which one pass each gives.

    Jacobi decoding costs its window in every pass, and how many there are only the run tells.
    """
    return tokens + guided_positions(recipe, tokens).stop
