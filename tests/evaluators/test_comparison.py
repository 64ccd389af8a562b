import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bakeoff.evaluators.comparison import (
    decide,
    decisions,
    difference,
    difference_test,
    holm,
    not_worse,
    pairing_correlation,
    pairs,
    prompts_needed,
    sign_test,
    t_test,
    wilcoxon_test,
    win_sample_size,
)
from bakeoff.evaluators.statistics import Estimate, Interval, adjusted_test, win_rate

NUMBERS = np.random.default_rng(3)


def test_pairs_leave_out_what_lacks_a_side_and_average_seeds() -> None:
    found = pairs(["a", "a", "b", "c"], [1, 0, 1, np.nan], [0, 0, 1, 1])
    assert found.ours.tolist() == [0.5, 1] and found.theirs.tolist() == [0, 1]
    assert found.differences.tolist() == [0.5, 0] and found.counts.tolist() == [2, 1]
    with pytest.raises(ValueError, match="2 prompts"):
        pairs(["a", "b"], [1.0], [1.0])


def test_a_difference_of_yes_or_no_is_twice_the_win_rate_less_one() -> None:
    names = [str(n) for n in range(40)]
    ours, theirs = NUMBERS.integers(0, 2, (2, 40))
    found = difference(pairs(names, ours, theirs), binary=True)
    wins = win_rate(names, ours, theirs).estimate
    assert found and wins and wins.interval and found.interval
    assert found.value == pytest.approx(2 * wins.value - 1)
    assert found.interval == pytest.approx([2 * limit - 1 for limit in wins.interval])
    assert difference(pairs([], [], [])) is None


def test_pairing_saves_what_prompts_share() -> None:
    names, shared = [str(n) for n in range(500)], NUMBERS.normal(size=500)
    found = pairs(names, shared + 0.5 * NUMBERS.normal(size=500), shared)
    assert pairing_correlation(found) == pytest.approx(1 / np.sqrt(1.25), abs=0.03)
    assert pairing_correlation(pairs(names, np.ones(500), shared)) is None


def test_p_values_agree_with_scipy_and_stand_at_the_edges() -> None:
    values = NUMBERS.normal(0.3, 1, 30)
    assert t_test(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert sign_test(values) == stats.binomtest(int((values > 0).sum()), 30).pvalue
    assert wilcoxon_test(values) == stats.wilcoxon(values).pvalue
    for test in (t_test, sign_test, wilcoxon_test):
        assert test([]) == test([0.0, 0.0]) == 1.0
    assert t_test([1.0, 1.0]) == t_test([0.3, 0.1 + 0.2]) == 1.0
    assert sign_test([1, 1, 0, -1]) == 1.0  # zeros do not count


def test_rounding_of_means_is_no_difference() -> None:
    ours, theirs = np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.2, 0.1])
    names = [str(n // 3) for n in range(60)]
    both = pairs(names, np.tile(ours, 20), np.tile(theirs, 20))
    assert (both.ours != both.theirs).any()  # sums in another order
    assert sign_test(both.differences) == wilcoxon_test(both.differences) == 1.0
    # ranks that tie but for their rounding are one
    raw = np.array([0.3, -0.3, 0.2, 0.5])
    rounded = np.array([0.1 + 0.2, -0.3, 0.2, 0.5])
    assert wilcoxon_test(rounded) == wilcoxon_test(raw)


def test_holm_steps_down() -> None:
    # by hand: 0.01 × 4, 0.02 × 3, then never below the one before
    assert holm([0.02, 0.01, 0.03, 0.5]) == pytest.approx([0.06, 0.04, 0.06, 0.5])
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_only_raises_and_keeps_order(p_values: list[float]) -> None:
    corrected, raw = holm(p_values), np.array(p_values)
    assert (corrected >= raw).all() and (corrected <= 1).all()
    assert (np.diff(corrected[raw.argsort(kind="stable")]) >= 0).all()
    assert corrected.min() == pytest.approx(min(1, len(raw) * raw.min()))


def test_every_comparison_ends_in_one_of_four_verdicts() -> None:
    wins, even = np.repeat([1.0, 0.0], [80, 20]), np.repeat([1.0, 0.5, 0.0], [10, 80, 10])
    wide, narrow = Interval(0.4, 0.6), Interval(0.49, 0.51)
    better = decide(wins, Interval(0.7, 0.9), null=0.5, p_value=0.001)
    assert (better.verdict, better.further_prompts) == ("better", 0)
    worse = decide(wins, None, null=0.5, p_value=0.001, higher_is_better=False)
    assert worse.verdict == "worse"
    assert decide(even, narrow, null=0.5, p_value=1, equivalent=0.02).verdict == "equivalent"
    open_one = decide(even, wide, null=0.5, p_value=1, equivalent=0.02)
    assert open_one.verdict == "undecided" and open_one.further_prompts
    # a difference that cannot matter is none, however sure
    assert decide(wins, narrow, null=0.5, p_value=0, equivalent=0.02).verdict == "equivalent"
    assert decide(even, wide, null=0.5, p_value=1).further_prompts is None


def test_a_family_is_corrected_and_one_without_prompts_is_no_part_of_it() -> None:
    sure, weak = np.repeat([1.0, 0.0], [80, 20]), np.repeat([1.0, 0.5, 0.0], [30, 50, 15])
    alone = adjusted_test(weak, Interval(0, 1), 0.5)
    assert 0.02 < alone < 0.05
    found = decisions([sure, [], weak, weak])
    assert found[1] is None
    first, second = found[0], found[2]
    assert first and second and (first.verdict, second.verdict) == ("better", "undecided")
    assert second.p_value == pytest.approx(2 * alone)
    # one more of them would decide, stood it alone
    only = decisions([weak])[0]
    assert only and only.verdict == "better"
    assert second.further_prompts and second.further_prompts > 10


def test_equivalence_is_corrected_for_the_family_too() -> None:
    even = np.repeat([1.0, 0.5, 0.0], [5, 190, 5])
    one = decisions([even], equivalent=0.025)[0]
    many = decisions([even] * 24, equivalent=0.025)[0]
    assert one and many and (one.verdict, many.verdict) == ("equivalent", "undecided")


def test_more_prompts_are_asked_for_where_more_is_compared() -> None:
    weak = np.repeat([1.0, 0.5, 0.0], [24, 50, 20])
    one, many = decisions([weak])[0], decisions([weak] * 10)[0]
    assert one and many and one.further_prompts and many.further_prompts
    assert many.further_prompts > 1.5 * one.further_prompts


def test_a_loss_within_the_margin_is_none() -> None:
    def judged(low: float, high: float, p_value: float, **options: bool) -> bool | None:
        found = Estimate((low + high) / 2, Interval(low, high), 50, 50)
        return not_worse(found, 0.1, p_value=p_value, **options)

    assert judged(-0.05, 0.02, 0.4) is True
    assert judged(-0.09, -0.01, 0.01) is True  # a sure loss, and no more than allowed
    assert judged(-0.3, -0.01, 0.01) is False
    assert judged(-0.3, 0.2, 0.7) is None
    assert judged(-0.02, 0.3, 0.01) is True
    assert judged(-0.02, 0.3, 0.04, higher_is_better=False) is False
    assert judged(-0.3, 0.02, 0.01, higher_is_better=False) is True
    assert not_worse(Estimate(0.0, None, 1, 1), 0.1, p_value=1.0) is None


def test_a_difference_of_yes_or_no_is_tested_as_its_interval_says() -> None:
    names = [str(n) for n in range(60)]
    ours, theirs = np.repeat([1, 0], 30), np.tile([1, 0], 30)
    both = pairs(names, ours, theirs)
    p_value = difference_test(both, binary=True)
    found = difference(both, binary=True, confidence=1 - p_value)
    assert found and found.interval and min(abs(limit) for limit in found.interval) < 1e-9
    assert difference_test(both) == t_test(both.differences)


def test_the_opponent_sees_the_same_decision() -> None:
    found = decisions([np.repeat([1.0, 0.0], [80, 20])])[0]
    assert found and found.turned().verdict == "worse" and found.turned().turned() == found


@pytest.mark.parametrize(
    "values",
    [
        np.repeat([1.0, 0.5, 0.0], [24, 50, 20]),
        np.repeat([0.25, 0.5], [5, 13]),  # small spread: the half prompts at the limits count
        np.repeat([1.0, 0.0], [13, 7]),
    ],
    ids=["many", "alike", "few"],
)
def test_the_prompts_needed_decide_as_often_as_promised(values: NDArray[np.float64]) -> None:
    needed = prompts_needed(values, 0.5, confidence=0.99)
    assert needed and needed > len(values)
    drawn = NUMBERS.choice(values, (1000, needed))
    decided = [adjusted_test(one, Interval(0, 1), 0.5) < 0.01 for one in drawn]
    assert 0.76 < np.mean(decided) < 0.9


def test_prompts_that_never_decide_are_none() -> None:
    even = np.repeat([1.0, 0.5, 0.0], [10, 80, 10])
    assert prompts_needed(even, 0.5) is None
    needed = prompts_needed(even, 0.5, equivalent=0.02)
    assert needed == pytest.approx(((1.95996 + 0.84162) * even.std() / 0.02) ** 2, rel=0.02)
    ones = prompts_needed(np.ones(3), 0.5, confidence=0.99)  # no spread, and still too few
    assert ones and 3 < ones < 10


def test_783_prompts_see_55_percent() -> None:
    assert win_sample_size(0.55) == win_sample_size(0.45) == 783
    assert win_sample_size(0.55, tie_share=0.5) < 400
    for wrong in (0.5, 1.1):
        with pytest.raises(ValueError, match=r"win_rate must lie within 0\.\.1"):
            win_sample_size(wrong)
    with pytest.raises(ValueError, match=r"0\.25\.\.0\.75"):
        win_sample_size(0.8, tie_share=0.5)
