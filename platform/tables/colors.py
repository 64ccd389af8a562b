"""One color for each model and one marker for each recipe on every page, chart and report.

The color-blind tell them apart, too.
"""

from collections.abc import Iterable

# Okabe and Ito (2008), without the yellow and black that vanish on light or dark pages.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# In Vega's words, the least alike first.
SHAPES = (
    *("circle", "square", "triangle-up", "cross", "diamond", "triangle-down"),
    *("triangle-right", "triangle-left", "arrow", "wedge"),
)

# Of the stages that an image passes, in their order. Tol's light scheme (2021): none is a model's,
# and all are seen on white and on black.
STAGE_COLORS = {
    "text": "#EEDD88",
    "network": "#77AADD",
    "draw": "#44BB99",
    "decode": "#EE8866",
    "encode": "#BBCC33",
    "score": "#FFAABB",
    "write": "#AAAAAA",
}


def model_colors(models: Iterable[str]) -> dict[str, str]:
    """Return the color of each model, by its place among the distinct ones; six, then again."""
    distinct = list(dict.fromkeys(models))
    return {model: PALETTE[place % len(PALETTE)] for place, model in enumerate(distinct)}


def recipe_shapes(entries: Iterable[str]) -> dict[str, str]:
    """Return the marker of each entry, by the place of its recipe's name; ten, then again."""
    recipes = {entry: entry.partition("/")[2] or entry for entry in entries}
    distinct = list(dict.fromkeys(recipes.values()))
    return {
        entry: SHAPES[distinct.index(recipe) % len(SHAPES)] for entry, recipe in recipes.items()
    }
