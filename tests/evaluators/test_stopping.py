"""Limits that hold at any time: against the plain definition, by their laws, and under peeking."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.evaluators.statistics import Interval
from bakeoff.evaluators.stopping import Course, course, courses

VALUES = st.lists(st.floats(0, 1), max_size=40)


def excluded(values: list[float], mean: float, confidence: float) -> bool:
    """Return whether a mean is ever excluded, prompt by prompt as the paper has it."""
    level, more, less = 1 - confidence, 1.0, 1.0
    total, squares = 0.5, 0.25
    for count, value in enumerate(values, 1):
        variance = squares / count
        bet = sqrt(2 * log(2 / level) / (variance * count * log(count + 1)))
        more *= 1 + min(bet, 0.5 / mean) * (value - mean)
        less *= 1 - min(bet, 0.5 / (1 - mean)) * (value - mean)
        if max(more, less) / 2 >= 1 / level:
            return True
        total += value
        squares += (value - total / (count + 1)) ** 2
    return False


@settings(max_examples=50, deadline=None)
@given(VALUES, st.floats(0.01, 0.99), st.sampled_from([0.8, 0.95]))
def test_limits_are_where_the_papers_bettors_stop(
    values: list[float], mean: float, confidence: float
) -> None:
    low, high = course(values, confidence=confidence).interval
    if min(abs(mean - low), abs(mean - high)) > 1e-5:
        assert excluded(values, mean, confidence) is not (low < mean < high)


@settings(deadline=None)
@given(VALUES, st.integers(0, 40))
def test_limits_only_close_in_and_what_is_decided_stays(values: list[float], cut: int) -> None:
    part, whole = course(values[:cut]), course(values)
    assert 0 <= part.interval.low <= whole.interval.low
    assert whole.interval.high <= part.interval.high <= 1
    assert whole.p_value <= part.p_value <= 1
    if part.verdict != "undecided":
        assert (whole.verdict, whole.prompts) == (part.verdict, part.prompts)


@settings(deadline=None)
@given(VALUES)
def test_turning_wins_and_losses_round_mirrors_it_all(values: list[float]) -> None:
    there, back = course(values), course([1 - value for value in values])
    assert there.interval.low == pytest.approx(1 - back.interval.high, abs=1e-5)
    turned = {"better": "worse", "worse": "better"}
    assert back.verdict == turned.get(there.verdict, there.verdict)


@settings(deadline=None)
@given(VALUES, st.sampled_from([0.5, 0.8, 0.95]))
def test_verdict_limits_and_p_value_agree(values: list[float], confidence: float) -> None:
    found = course(values, confidence=confidence)
    decided = found.verdict != "undecided"
    assert decided is (found.p_value <= 1 - confidence)
    assert decided is not (found.interval.low < 0.5 < found.interval.high)


def test_peeking_after_every_prompt_errs_in_five_percent_at_most() -> None:
    numbers = np.random.default_rng(0)
    draws = numbers.choice([0, 0.5, 1], (400, 400), p=[0.35, 0.3, 0.35])
    assert np.mean([course(values).verdict != "undecided" for values in draws]) <= 0.05


def test_a_clear_winner_is_decided_early_and_likes_are_equivalent() -> None:
    numbers = np.random.default_rng(1)
    wins = numbers.choice([0, 1], 500, p=[0.2, 0.8])
    clear = course(wins)
    assert clear.verdict == "better" and clear.prompts < 100 and clear.interval.low > 0.5
    assert course(1 - wins).verdict == "worse"
    ties = numbers.choice([0, 0.5, 1], 3000, p=[0.02, 0.96, 0.02])
    assert (course(ties).verdict, course(ties).prompts) == ("undecided", 3000)
    alike = course(ties, equivalent=0.02)
    assert alike.verdict == "equivalent" and alike.prompts < 3000
    low, high = course(ties[: alike.prompts]).interval
    assert low >= 0.48 and high <= 0.52


def test_a_comparison_ends_with_the_first_prompt_that_decides_it() -> None:
    wins = np.random.default_rng(2).choice([0, 1], 300, p=[0.3, 0.7])
    whole = course(wins)
    then = course(wins[: whole.prompts])
    assert (then.verdict, then.prompts) == (whole.verdict, whole.prompts)
    assert course(wins[: whole.prompts - 1]).verdict == "undecided"


def test_comparisons_side_by_side_are_corrected_for_each_other() -> None:
    wins = np.random.default_rng(3).choice([0, 1], 200, p=[0.3, 0.7])
    alone, (first, empty, _) = course(wins), courses([wins, [], 1 - wins])
    strict = course(wins, confidence=0.975)
    assert (first.verdict, first.prompts, first.interval) == (
        strict.verdict,
        strict.prompts,
        strict.interval,
    )
    assert first.p_value == pytest.approx(2 * strict.p_value)
    assert first.prompts >= alone.prompts
    assert empty == Course("undecided", 0, Interval(0.0, 1.0), 1.0)


def test_sixteen_wins_in_a_row_decide_no_family_of_many() -> None:
    """The first round of a run is not much longer than the shortest that decides anything."""
    sixteen = [1.0] * 16
    assert course(sixteen).verdict == "better" and course(sixteen).prompts >= 6
    assert courses([sixteen] + [[0.5] * 16] * 400)[0].verdict == "undecided"


def test_before_the_first_prompt_anything_may_be() -> None:
    assert course([]) == Course("undecided", 0, Interval(0.0, 1.0), 1.0)
    with pytest.raises(ValueError, match=r"values must lie in 0\.\.1"):
        course([0.5, 1.5])


def test_values_that_drift_have_limits_in_order() -> None:
    low, high = course([1.0] * 200 + [0.0] * 2000).interval
    assert 0 <= low < high <= 1
