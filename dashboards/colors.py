"""The colors of every page; those of entries are the platform's, whose reports wear them, too."""

from typing import Final

from bakeoff.platform.colors import model_colors, recipe_shapes
from bakeoff.platform.leaderboard import Leaderboard
from bakeoff.platform.report.strips import Look

__all__ = [
    *("DIVERGING", "PALETTE", "PATHS", "STAGE_COLORS", "Look"),
    *("looks_of", "model_colors", "recipe_shapes"),
]

DIVERGING: Final = "purpleorange"  # win rates: purple above one half, orange below


def looks_of(board: Leaderboard) -> dict[str, Look]:
    """Return how each entry of a study is drawn, wherever it is."""
    colors = model_colors(standing.model for standing in board.standings)
    shapes = recipe_shapes(standing.entry for standing in board.standings)
    return {one.entry: Look(colors[one.model], shapes[one.entry]) for one in board.standings}
