"""The exact detector of the embedded world: pixels in, shapes with colours and boxes out."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bakeoff.samplers.tiny.world import BACKGROUND, COLORS, LARGE, SHAPES, SIZE, SMALL, sprite

MIN_COVERAGE = 0.25  # of a pixel by a shape; blended edges of straight sides lie well off it
MIN_PIXELS = 150  # the smallest sprite covers more than twice as many
MIN_EXTENT = 16  # pixels; sprites measure 22 and more
TEMPLATE = 20  # pixels a side that every candidate is compared at
MAX_ERROR = 0.06  # mean squared difference of coverage beyond which a blob is no shape


@dataclass(frozen=True)
class Detection:
    """One shape found in a picture; `box` is (x0, y0, x1, y1) in pixels, `error` its misfit."""

    shape: str
    color: str
    box: tuple[float, float, float, float]
    error: float


def detect(image: NDArray[np.uint8]) -> list[Detection]:
    """Return the shapes in a picture [64, 64, 3].

    Raises:
        ValueError: the picture has another size.
    """
    if image.shape != (SIZE, SIZE, 3):
        raise ValueError(f"image must be [{SIZE}, {SIZE}, 3], got {list(image.shape)}")
    coverage, nearest = _unblend(image.astype(np.float64))
    found = []
    for index, color in enumerate(COLORS):
        blobs, _ = ndimage.label(
            (coverage > MIN_COVERAGE) & (nearest == index), structure=np.ones((3, 3))
        )
        for number, window in enumerate(ndimage.find_objects(blobs), start=1):
            blob = blobs[window] == number
            if blob.sum() >= MIN_PIXELS and max(blob.shape) >= MIN_EXTENT:
                shape, error = _classify(blob)
                if error <= MAX_ERROR:
                    rows, columns = window
                    box = (columns.start, rows.start, columns.stop, rows.stop)
                    found.append(Detection(shape, color, box, error))
    return found


def _unblend(image: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each pixel's coverage and colour number [64, 64]: its best blend."""
    offset = image - np.array(BACKGROUND)  # [64, 64, 3]
    palette = np.array(list(COLORS.values())) - np.array(BACKGROUND, dtype=np.float64)  # [C, 3]
    blend = np.clip(offset @ palette.T / (palette**2).sum(axis=1), 0, 1)  # [64, 64, C]
    misfit = ((offset[:, :, None] - blend[..., None] * palette) ** 2).sum(axis=3)
    nearest = misfit.argmin(axis=2)
    return np.take_along_axis(blend, nearest[..., None], axis=2)[..., 0], nearest


def _classify(blob: NDArray[np.bool_]) -> tuple[str, float]:
    """Return the nearest shape of a blob [h, w] and the mean squared difference to it."""
    names, templates = _templates()
    errors = ((templates - _squared(blob.astype(np.float64))) ** 2).mean(axis=(1, 2))
    best = int(errors.argmin())
    return names[best], float(errors[best])


def _squared(coverage: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre a coverage map in a square and resample it to the template's size."""
    side = max(coverage.shape)
    pad = [((side - n) // 2, side - n - (side - n) // 2) for n in coverage.shape]
    square = np.pad(coverage, pad)
    at = (np.arange(TEMPLATE) + 0.5) * side / TEMPLATE - 0.5
    grid = np.meshgrid(at, at, indexing="ij")
    return np.asarray(ndimage.map_coordinates(square, grid, order=1, mode="nearest"))


@cache
def _templates() -> tuple[list[str], NDArray[np.float64]]:
    names, maps = [], []
    for cells in (LARGE, SMALL):
        for shape in SHAPES:
            inside = sprite(shape, cells) > MIN_COVERAGE * 255
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            crop = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            names.append(shape)
            maps.append(_squared(crop.astype(np.float64)))
    return names, np.stack(maps)
