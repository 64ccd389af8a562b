"""One color for each model on every page, chart and report, told apart by the color-blind, too."""

from collections.abc import Iterable

# Okabe and Ito (2008), without the yellow and black that vanish on light or dark pages.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def model_colors(models: Iterable[str]) -> dict[str, str]:
    """Return the color of each model, by its place among the distinct ones; six, then again."""
    distinct = list(dict.fromkeys(models))
    return {model: PALETTE[place % len(PALETTE)] for place, model in enumerate(distinct)}
