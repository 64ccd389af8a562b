"""The colors of every page; those of models are the platform's, whose reports wear them, too."""

from typing import Final

from bakeoff.platform.colors import PALETTE, model_colors, recipe_shapes

__all__ = ["DIVERGING", "PALETTE", "model_colors", "recipe_shapes"]

DIVERGING: Final = "purpleorange"  # win rates: purple above one half, orange below
