import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.evaluators.statistics import Interval
from bakeoff.evaluators.stopping import Course, confidence_sequence, course

UNIT = st.floats(0, 1)


@given(st.lists(UNIT, max_size=60))
def test_limits_only_close_in_and_hold_the_unit(values: list[float]) -> None:
    low, high = confidence_sequence(values)
    assert len(low) == len(high) == len(values)
    assert (np.diff(low) >= 0).all() and (np.diff(high) <= 0).all()
    assert (low >= 0).all() and (high <= 1).all() and (low <= high).all()


@given(st.lists(UNIT, min_size=2, max_size=40), st.integers(1, 39))
def test_what_comes_later_changes_nothing_earlier(values: list[float], cut: int) -> None:
    whole, part = confidence_sequence(values), confidence_sequence(values[:cut])
    assert np.array_equal(whole.low[:cut], part.low)
    assert np.array_equal(whole.high[:cut], part.high)


@given(st.lists(UNIT, min_size=1, max_size=40))
def test_turning_wins_and_losses_round_mirrors_the_interval(values: list[float]) -> None:
    there, back = confidence_sequence(values).last, confidence_sequence(1 - np.array(values)).last
    assert there.low == pytest.approx(1 - back.high, abs=0.003)


def test_peeking_after_every_prompt_errs_in_five_percent_at_most() -> None:
    numbers = np.random.default_rng(0)
    draws = numbers.choice([0, 0.5, 1], (300, 400), p=[0.35, 0.3, 0.35])
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


def test_a_comparison_ends_with_the_first_prompt_that_decides_it() -> None:
    wins = np.random.default_rng(2).choice([0, 1], 300, p=[0.3, 0.7])
    whole = course(wins)
    assert course(wins[: whole.prompts]) == whole
    assert course(wins[: whole.prompts - 1]).verdict == "undecided"


def test_before_the_first_prompt_anything_may_be() -> None:
    assert confidence_sequence([]).last == (0, 1)
    assert course([]) == Course("undecided", 0, Interval(0.0, 1.0))
    with pytest.raises(ValueError, match=r"values must lie in 0\.\.1"):
        confidence_sequence([0.5, 1.5])
