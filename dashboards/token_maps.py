"""Token maps as small pictures: one color for each token, grey where it is unknown."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UNKNOWN = (128, 128, 128, 60)  # lets the page shine through, light or dark
SAME = (128, 128, 128, 60)
OTHER = (213, 94, 0, 255)  # vermilion of Okabe and Ito
EDGE = 96  # pixels a side, at least
STYLE = """<style>
.token-maps { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.token-maps figure { margin: 0; width: 96px; }
.token-maps img { width: 100%; image-rendering: pixelated; }
.token-maps figcaption { font-size: 0.75rem; opacity: 0.75; text-align: center; }
</style>"""
GOLDEN = 0.618034  # of the circle of hues: neighbouring numbers lie far apart


def row_of_maps(maps: Iterable[tuple[str, Image.Image]]) -> str:
    """Return maps with what stands below each as markup, in as many lines as they take."""
    figures = "".join(
        f"<figure><img alt='' src='{_uri(picture)}'><figcaption>{escape(caption)}</figcaption>"
        "</figure>"
        for caption, picture in maps
    )
    return f"{STYLE}<div class='token-maps'>{figures}</div>"


def token_map(tokens: Sequence[int], unknown: int | None) -> Image.Image:
    """Return the map of tokens [K]; `unknown` is the number of those that are not known yet."""
    numbers = np.asarray(tokens, dtype=np.int64)
    pixels = _colors(numbers)
    pixels[numbers == unknown] = UNKNOWN
    return _picture(pixels)


def difference_map(tokens: Sequence[int], others: Sequence[int]) -> Image.Image:
    """Return where two maps of equal length hold the same token, and where another."""
    same = np.asarray(tokens) == np.asarray(others)
    return _picture(np.where(same[:, None], SAME, OTHER).astype(np.uint8))


def unknown_token(tokens: Sequence[int], mask_ratio: float | None) -> int | None:
    """Return the number of unknown tokens among these; None if all are known.

    A masked model's mask lies above all its codes; others have -1.
    """
    if not mask_ratio or not len(tokens):
        return None
    return min(tokens) if min(tokens) < 0 else max(tokens)


def _colors(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a color [K, 4] for each number, always the same."""
    hue = numbers * GOLDEN % 1.0
    third = np.stack([hue, hue + 1 / 3, hue + 2 / 3], axis=1)
    light = 0.55 + 0.2 * (numbers % 5 / 4)[:, None]  # five steps of light on top of the hue
    shade = light + 0.3 * np.cos(2 * np.pi * third)
    solid = np.full((len(numbers), 1), 255)
    return np.concatenate([255 * np.clip(shade, 0, 1), solid], axis=1).astype(np.uint8)


def _uri(picture: Image.Image) -> str:
    file = BytesIO()
    picture.save(file, format="PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    side = isqrt(len(pixels))
    height = side if side * side == len(pixels) else 1
    small = Image.fromarray(pixels.reshape(height, -1, 4), "RGBA")
    factor = max(1, -(-EDGE // max(small.size)))
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
