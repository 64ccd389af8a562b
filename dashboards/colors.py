"""The colors of every page; those of entries are the platform's, whose reports wear them, too."""

from typing import Final

from bakeoff.platform.report.strips import PATHS, Look, looks_of
from bakeoff.platform.tables.colors import PALETTE, STAGE_COLORS, model_colors, recipe_shapes

__all__ = [
    "DIVERGING",
    "PALETTE",
    "PATHS",
    "STAGE_COLORS",
    "Look",
    "looks_of",
    "model_colors",
    "recipe_shapes",
]

DIVERGING: Final = "purpleorange"  # win rates: purple above one half, orange below
