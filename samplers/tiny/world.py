"""The embedded world: scenes of flat shapes on an 8×8 grid of 8-pixel cells, rendered exactly.

Sprites snap to the grid, so the world has a finite dictionary of patches: the background, and each
(mask, colour) pair. That dictionary is the ground truth of the tiny tokenizers' codes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

SHAPES = ("circle", "square", "triangle", "cross", "ring", "heart")
COLORS: dict[str, tuple[int, int, int]] = {
    "red": (216, 40, 40),
    "yellow": (244, 220, 48),
    "green": (48, 164, 68),
    "cyan": (60, 204, 212),
    "blue": (40, 76, 212),
    "purple": (128, 48, 176),
}
BACKGROUND = (236, 236, 236)
CELL = 8  # pixels of a grid cell = pixels of a token
GRID = 8  # cells a side
SIZE = CELL * GRID  # pixels a side
LARGE, SMALL = 5, 4  # cells a side of the sprite of a lone object, and of one among several


@dataclass(frozen=True)
class Object:
    """One shape; `column` and `row` are the grid cell of its sprite's top left corner."""

    shape: str
    color: str
    cells: int
    column: int
    row: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The sprite's square (x0, y0, x1, y1) in pixels."""
        x, y = self.column * CELL, self.row * CELL
        return (x, y, x + self.cells * CELL, y + self.cells * CELL)


Scene = tuple[Object, ...]


def distance(shape: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the signed distance, negative inside, to a shape in [-1, 1]²; y points down."""
    if shape == "circle":
        return np.hypot(x, y) - 1.0
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.74) - 0.26
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.88
    if shape == "cross":
        bars = [np.maximum(np.abs(x) - w, np.abs(y) - h) for w, h in ((0.3, 1.0), (1.0, 0.3))]
        return np.minimum(*bars)
    if shape == "triangle":
        return np.maximum((np.abs(x) * 2.0 - y - 0.9) / np.sqrt(5.0), y - 0.9)
    return _heart(np.abs(x), y)


def _heart(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two lobes over a wedge whose sides touch them, mirrored at x = 0."""
    center, radius = np.array([0.46, -0.4]), 0.54
    lobe = np.hypot(x - center[0], y - center[1]) - radius
    tip = np.array([0.0, 1.0])
    reach = np.hypot(*(center - tip))
    angle = np.arctan2(center[0], tip[1] - center[1]) + np.arcsin(radius / reach)
    normal = np.array([np.cos(angle), np.sin(angle)])  # of the right-hand tangent through the tip
    tangent_y = tip[1] - np.cos(angle) * np.sqrt(reach**2 - radius**2)
    wedge = np.maximum(normal[0] * x + normal[1] * (y - tip[1]), tangent_y - y)
    between = np.maximum(x - center[0], np.maximum(-0.3 - y, y - tangent_y - 0.1))
    return np.minimum(np.minimum(lobe, wedge), between)


@cache
def sprite(shape: str, cells: int) -> NDArray[np.uint8]:
    """Return the anti-aliased coverage of a shape in its square of `cells` cells, 0 to 255."""
    pixels = cells * CELL
    radius = pixels / 2 - 3.0  # leaves a gap of six pixels between neighbours
    axis = (np.arange(pixels) + 0.5 - pixels / 2) / radius
    y, x = np.meshgrid(axis, axis, indexing="ij")
    coverage = np.clip(0.5 - distance(shape, x, y) * radius, 0.0, 1.0)
    return np.round(coverage * 255).astype(np.uint8)


@cache
def _dictionary() -> tuple[NDArray[np.uint8], dict[tuple[str, int], NDArray[np.int64]]]:
    """Return the distinct masks [M, 8, 8] and, per sprite, its mask numbers (-1 empty)."""
    masks: list[NDArray[np.uint8]] = []
    numbers: dict[bytes, int] = {}
    grids = {}
    for cells in (LARGE, SMALL):
        for shape in SHAPES:
            patches = sprite(shape, cells).reshape(cells, CELL, cells, CELL).swapaxes(1, 2)
            grid = np.full((cells, cells), -1)
            for at in np.ndindex(cells, cells):
                if patches[at].any():
                    key = patches[at].tobytes()
                    if key not in numbers:
                        numbers[key] = len(masks)
                        masks.append(patches[at])
                    grid[at] = numbers[key]
            grids[shape, cells] = grid
    return np.stack(masks), grids


def mask_count() -> int:
    """Return the number of distinct non-empty patch masks."""
    return len(_dictionary()[0])


def vocabulary_size() -> int:
    """Return the number of distinct patches: the background and every (mask, colour) pair."""
    return 1 + mask_count() * len(COLORS)


def tokens(scene: Scene) -> NDArray[np.int64]:
    """Return the patch numbers [8, 8]: 0 is background, else 1 + mask · colours + colour."""
    grids, colors = _dictionary()[1], list(COLORS)
    result = np.zeros((GRID, GRID), dtype=np.int64)
    for item in scene:
        mask = grids[item.shape, item.cells]
        window = result[item.row : item.row + item.cells, item.column : item.column + item.cells]
        np.copyto(window, 1 + mask * len(COLORS) + colors.index(item.color), where=mask >= 0)
    return result


@cache
def patches() -> NDArray[np.uint8]:
    """Return every patch of the dictionary [V, 8, 8, 3] in the order of `tokens`."""
    alpha = _dictionary()[0][:, None, :, :, None] / 255.0  # [M, 1, 8, 8, 1]
    color = np.array(list(COLORS.values()), dtype=np.float64)[None, :, None, None, :]
    blended = alpha * color + (1 - alpha) * np.array(BACKGROUND)  # [M, C, 8, 8, 3]
    background = np.broadcast_to(np.array(BACKGROUND, dtype=np.float64), (1, CELL, CELL, 3))
    every = np.concatenate([background, blended.reshape(-1, CELL, CELL, 3)])
    return np.round(every).astype(np.uint8)


def render_tokens(grid: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the pictures [B, 64, 64, 3] of patch numbers [B, 8, 8]."""
    tiles = patches()[grid]  # [B, 8, 8, 8, 8, 3]
    return tiles.swapaxes(2, 3).reshape(len(grid), SIZE, SIZE, 3)


def render(scene: Scene) -> NDArray[np.uint8]:
    """Return the picture [64, 64, 3] of a scene."""
    return render_tokens(tokens(scene)[None])[0]
