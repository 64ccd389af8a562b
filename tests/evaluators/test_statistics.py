"""Intervals and win rates against scipy, by exact enumeration and by their laws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bakeoff.evaluators.statistics import (
    Estimate,
    Interval,
    adjusted_interval,
    adjusted_test,
    estimate_of_means,
    jackknife_interval,
    mean_estimate,
    mean_interval,
    prompt_means,
    t_interval,
    wilson_interval,
    win_rate,
    win_rate_of_counts,
)

SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0, float("nan")])
PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), SCORES, SCORES), min_size=1, max_size=30)


@pytest.mark.parametrize("trials", [1, 7, 120])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_wilson_interval_equals_scipys(trials: int, share: float) -> None:
    successes = round(share * trials)
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    found = wilson_interval(successes / trials, trials)
    assert found == pytest.approx((expected.low, expected.high))


def test_t_interval_equals_scipys() -> None:
    values = np.random.default_rng(0).normal(size=17)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_mean_is_students_where_nothing_is_skewed() -> None:
    values = [-3.0, -1.0, 0.0, 1.0, 3.0]
    assert mean_interval(values) == pytest.approx(t_interval(values))
    assert mean_interval([]) is mean_interval([1.0]) is None
    assert mean_interval([2.0] * 5) is None  # no spread tells nothing of how far others lie
    assert mean_interval([0.3, 0.1 + 0.2]) is None


def test_the_interval_of_a_mean_reaches_to_where_values_are_few() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    student, found = t_interval(values), mean_interval(values)
    mirrored = mean_interval(-values)
    assert student and found and mirrored
    assert found.low == student.low and found.high > student.high + 0.02
    assert mirrored == pytest.approx((-found.high, -found.low))
    assert mean_interval(10 * values + 3) == pytest.approx([10 * one + 3 for one in found])


@pytest.mark.parametrize(
    ("draw", "true"),
    [
        (lambda numbers, shape: numbers.exponential(size=shape), 1.0),
        (lambda numbers, shape: numbers.standard_t(3, size=shape), 0.0),
        (lambda numbers, shape: numbers.normal(size=shape), 0.0),
    ],
    ids=["skewed", "long tails", "normal"],
)
def test_the_interval_of_a_mean_holds_it(draw: Callable[..., Any], true: float) -> None:
    found = map(mean_interval, draw(np.random.default_rng(4), (2000, 24)))
    assert 0.94 <= np.mean([one.low <= true <= one.high for one in found if one]) <= 0.97


def test_prompts_are_grouped_whatever_the_order() -> None:
    means, counts = prompt_means(["b", "a", "b"], [1.0, 5.0, 2.0])
    assert means.tolist() == [5.0, 1.5]
    assert counts.tolist() == [1, 2]


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        prompt_means(["a", "b"], [1.0, float("nan")])


def test_one_yes_or_no_value_a_prompt_gets_wilsons_interval() -> None:
    found = mean_estimate(list("abcd"), [1, 0, 1, 1])
    assert found == Estimate(0.75, wilson_interval(0.75, 4), prompts=4, samples=4)


def test_several_seeds_of_a_prompt_are_one_unit() -> None:
    prompts, values = ["a", "a", "b", "b", "c", "c"], [1, 1, 0, 0, 1, 0]
    found = mean_estimate(prompts, values)
    alone = mean_interval([1.0, 0.0, 0.5])
    assert found is not None and alone is not None and found.interval is not None
    assert (found.value, found.prompts, found.samples) == (0.5, 3, 6)
    assert found.interval == (max(0, alone.low), min(1, alone.high))


def test_repeating_every_seed_does_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).normal(size=20)
    prompts = [str(i) for i in range(20)]
    once, thrice = mean_estimate(prompts, values), mean_estimate(prompts * 3, np.tile(values, 3))
    assert once is not None and thrice is not None
    assert thrice.interval == pytest.approx(once.interval)


def test_agreeing_prompts_keep_an_interval() -> None:
    found = mean_estimate(["a", "a", "b", "b"], [1, 1, 1, 1])
    assert found is not None and found.interval == wilson_interval(1.0, 2)


def test_one_prompt_has_a_mean_but_no_interval() -> None:
    assert mean_estimate(["a"], [0.4]) == Estimate(0.4, None, prompts=1, samples=1)


def test_no_prompt_has_no_mean() -> None:
    assert mean_estimate([], []) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, 0.3])), max_size=9))
def test_means_by_prompt_give_the_same_estimate(scored: list) -> None:
    prompts, values = [prompt for prompt, _ in scored], [value for _, value in scored]
    binary = 0.3 not in values
    found = estimate_of_means(prompt_means(prompts, values), binary=binary)
    assert found == mean_estimate(prompts, values)


@settings(deadline=None)
@given(PAIRS)
def test_win_counts_by_prompt_give_the_same_win_rate(pairs: list) -> None:
    order = sorted({prompt for prompt, _, _ in pairs})

    def counts(outcome: int) -> list[int]:
        signs = [(prompt, np.sign(left - right)) for prompt, left, right in pairs]
        return [signs.count((prompt, outcome)) for prompt in order]

    missing = sum(bool(np.isnan(left + right)) for _, left, right in pairs)
    found = win_rate_of_counts(wins=counts(1), ties=counts(0), losses=counts(-1), missing=missing)
    assert found == win_rate(*zip(*pairs, strict=True))


@settings(deadline=None)
@given(PAIRS)
def test_win_rate_lies_inside_its_interval_inside_zero_and_one(pairs: list) -> None:
    found = win_rate(*zip(*pairs, strict=True))
    assert found.wins + found.ties + found.losses + found.missing == len(pairs)
    if found.estimate:
        low, high = found.estimate.interval or (0.0, 1.0)
        assert 0 <= low <= found.estimate.value <= high <= 1
        assert low < high


@settings(deadline=None)
@given(PAIRS, st.booleans())
def test_win_rate_of_a_against_b_mirrors_that_of_b_against_a(pairs: list, higher: bool) -> None:
    prompts, left, right = zip(*pairs, strict=True)
    forth = win_rate(prompts, left, right, higher_is_better=higher)
    back = win_rate(prompts, right, left, higher_is_better=higher)
    assert (forth.wins, forth.ties, forth.losses) == (back.losses, back.ties, back.wins)
    if forth.estimate and back.estimate and forth.estimate.interval and back.estimate.interval:
        assert forth.estimate.value == pytest.approx(1 - back.estimate.value)
        assert forth.estimate.interval.low == pytest.approx(1 - back.estimate.interval.high)


@settings(deadline=None)
@given(PAIRS, st.randoms(use_true_random=False))
def test_win_rate_does_not_depend_on_the_order(pairs: list, random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = win_rate(*zip(*pairs, strict=True)).estimate
    second = win_rate(*zip(*shuffled, strict=True)).estimate
    assert (first is None) == (second is None)
    if first and second:
        assert second.value == pytest.approx(first.value)
        assert second.interval == pytest.approx(first.interval)


def test_lower_wins_where_lower_is_better() -> None:
    found = win_rate(["a", "b", "c"], [1, 2, 3], [2, 2, 1], higher_is_better=False)
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)


def test_a_pair_with_one_score_is_left_out_and_counted() -> None:
    nan = float("nan")
    found = win_rate(["a", "b", "c"], [1, nan, 3], [0, 1, nan])
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.prompts, found.missing) == (1.0, 1, 2)


def test_no_complete_pair_gives_no_win_rate() -> None:
    assert win_rate(["a"], [1.0], [float("nan")]).estimate is None


def exact_coverage(prompts: int, win: float, loss: float) -> float:
    """Return the chance that the interval holds the truth, summed over every possible outcome."""
    covered = 0.0
    law = stats.multinomial(prompts, [win, loss, 1 - win - loss])
    names = [str(i) for i in range(prompts)]
    for wins in range(prompts + 1):
        for losses in range(prompts + 1 - wins):
            ties = prompts - wins - losses
            chance = law.pmf([wins, losses, ties])
            if chance < 1e-12:
                continue
            scores = [1.0] * wins + [-1.0] * losses + [0.0] * ties
            estimate = win_rate(names, scores, np.zeros(prompts)).estimate
            assert estimate is not None
            covered += chance * estimate.contains(0.5 + (win - loss) / 2)
    return covered


@pytest.mark.parametrize("prompts", [6, 12, 24])
@pytest.mark.parametrize(
    ("win", "loss"),
    [(0.5, 0.5), (0.35, 0.35), (0.45, 0.25), (0.25, 0.15), (0.05, 0.05), (0.88, 0.1)],
)
def test_win_rate_interval_covers_the_truth_with_one_seed(
    prompts: int, win: float, loss: float
) -> None:
    assert exact_coverage(prompts, win, loss) >= 0.93


def clustered_pairs(
    random: np.random.Generator, prompts: int, seeds: int, shift: float
) -> NDArray[np.float64]:
    """Return score differences [P, S] with a prompt effect that all seeds of a prompt share."""
    effect = random.normal(shift, 1.0, size=(prompts, 1))
    difference = effect + random.normal(size=(prompts, seeds))
    return np.where(np.abs(difference) < 0.4, 0.0, difference)  # the middle ties


@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_win_rate_interval_covers_the_truth_with_several_seeds(shift: float) -> None:
    random = np.random.default_rng(2)
    prompts, seeds, studies = 30, 4, 1500
    spread = np.sqrt(2.0)
    truth = stats.norm.sf(0.4, shift, spread)
    truth += 0.5 * (stats.norm.cdf(0.4, shift, spread) - stats.norm.cdf(-0.4, shift, spread))
    names = [str(i) for i in range(prompts) for _ in range(seeds)]
    covered = 0
    for _ in range(studies):
        difference = clustered_pairs(random, prompts, seeds, shift).ravel()
        estimate = win_rate(names, difference, np.zeros_like(difference)).estimate
        assert estimate is not None
        covered += estimate.contains(truth)
    assert 0.935 <= covered / studies <= 0.985


def test_jackknife_of_a_mean_is_its_t_interval() -> None:
    values = np.random.default_rng(3).normal(size=25)
    left_out = [np.delete(values, i).mean() for i in range(25)]
    assert jackknife_interval(values.mean(), left_out) == pytest.approx(t_interval(values))


def test_jackknife_of_one_prompt_has_no_interval() -> None:
    assert jackknife_interval(0.3, [0.0]) is None


def test_estimate_without_interval_excludes_nothing() -> None:
    assert Estimate(0.9, None, 1, 1).contains(0.5)
    assert not Estimate(0.9, Interval(0.8, 1.0), 9, 9).contains(0.5)


def test_a_win_rates_p_value_is_5_percent_where_its_interval_ends() -> None:
    wins = np.random.default_rng(9).choice([0.0, 0.5, 1.0], 40, p=[0.2, 0.3, 0.5])
    unit = Interval(0.0, 1.0)
    for limit in adjusted_interval(wins, unit):
        assert adjusted_test(wins, unit, limit) == pytest.approx(0.05)
    assert adjusted_test([], unit, 0.5) == 1.0
    assert adjusted_test([1.0] * 30, unit, 0.5) < 1e-6
