import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.evaluators.stopping import confidence_sequence, decided_after

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
    assert np.mean([decided_after(values) is not None for values in draws]) <= 0.05


def test_a_clear_winner_is_decided_early_and_likes_are_equivalent() -> None:
    numbers = np.random.default_rng(1)
    clear = decided_after(numbers.choice([0, 1], 500, p=[0.2, 0.8]))
    assert clear and clear < 100
    ties = numbers.choice([0, 0.5, 1], 3000, p=[0.02, 0.96, 0.02])
    assert decided_after(ties) is None
    assert decided_after(ties, equivalent=0.02)


def test_before_the_first_prompt_anything_may_be() -> None:
    assert confidence_sequence([]).last == (0, 1)
    with pytest.raises(ValueError, match=r"values must lie in 0\.\.1"):
        confidence_sequence([0.5, 1.5])
