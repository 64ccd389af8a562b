"""Model colors can be told apart, also by people who do not see red and green as different."""

from itertools import combinations

import numpy as np
import pytest

from bakeoff.dashboards.colors import PALETTE, model_colors

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


def lab(color: str, vision: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of a hex color as somebody sees it."""
    encoded = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(vision @ linear, 0, 1)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ratio = np.array(matrix) @ seen / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_colors_differ_to_every_eye(vision: str) -> None:
    seen = [lab(color, VISION[vision]) for color in PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 12


def test_a_model_keeps_its_color_however_often_it_comes() -> None:
    found = model_colors(["b", "a", "b"])
    assert found == {"b": PALETTE[0], "a": PALETTE[1]}
    assert model_colors(["b", "a", "c"])["a"] == found["a"]
