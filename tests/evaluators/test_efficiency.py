"""Fronts and speed-ups on points that one sees at a glance, and intervals by simulation."""

import numpy as np
import pytest

from bakeoff.evaluators.efficiency import median_interval, on_front, speed_up


def test_the_front_holds_what_nothing_beats() -> None:
    costs = [1, 2, 2, 3, 4]
    qualities = [5, 7, 6, 7, 9]
    assert on_front(qualities, costs).tolist() == [True, True, False, False, True]


def test_with_a_lower_is_better_metric_the_front_turns_over() -> None:
    assert on_front([5, 7, 4], [1, 2, 3], higher_is_better=False).tolist() == [True, False, True]


def test_points_that_are_alike_stand_together() -> None:
    assert on_front([1, 1, 0], [1, 1, 1]).tolist() == [True, True, False]
    assert on_front([], []).tolist() == []


def test_a_median_has_its_interval_by_order() -> None:
    values = np.arange(1.0, 21)  # of twenty, the sixth and the fifteenth
    assert median_interval(values) == (6, 15)
    assert median_interval(range(6)) == (0, 5)
    assert median_interval(range(5)) is None and median_interval([]) is None


def test_the_interval_of_a_skewed_speed_up_holds() -> None:
    numbers, held = np.random.default_rng(0), []
    for _ in range(400):
        slow, fast = 2 * numbers.lognormal(0, 0.5, 15), numbers.lognormal(0, 0.5, 12)
        found = speed_up(slow, fast)
        assert found and found.interval
        held.append(found.interval.low <= 2 <= found.interval.high)
    assert np.mean(held) > 0.95


def test_a_speed_up_is_the_ratio_of_the_medians() -> None:
    found = speed_up([4, 6, 5], [2.5])
    assert found and found.value == pytest.approx(2) and found.interval is None
    assert speed_up([], [1]) is None and speed_up([1], []) is None
    assert speed_up([1], [0]) is None
