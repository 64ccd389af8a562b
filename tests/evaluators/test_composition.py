"""Composition hands pictures to the detector and its findings to the rule."""

import numpy as np
import pytest

from bakeoff.evaluators.composition import Composition

IMAGES = np.zeros((3, 2, 2, 3), dtype=np.uint8)
IMAGES[1], IMAGES[2] = 10, 20


def brightest(image: np.ndarray) -> list[int]:
    return [int(image.max())]


def is_as_bright(expectation: dict, found: list[int]) -> bool:
    return found == [expectation["value"]]


def test_each_picture_is_judged_by_its_own_expectation() -> None:
    metric = Composition(brightest, is_as_bright)
    scores = metric.score(IMAGES, ["a", "b", "c"], [{"value": 0}, {"value": 0}, {"value": 20}])
    assert scores.dtype == np.float64
    assert scores.tolist() == [1.0, 0.0, 1.0]


def test_a_prompt_without_expectation_is_refused() -> None:
    with pytest.raises(ValueError, match="'b' has none"):
        Composition(brightest, is_as_bright).score(IMAGES[:2], ["a", "b"], [{"value": 0}, None])


def test_lists_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError):
        Composition(brightest, is_as_bright).score(IMAGES, ["a"], [{"value": 0}])
