import numpy as np
import pytest

from bakeoff.evaluators.calibration import agreement, calibrated_win_rate
from bakeoff.evaluators.statistics import win_rate


def test_agreement_is_counted_on_decided_votes_and_held_against_chance() -> None:
    names = [str(n) for n in range(5)]
    found = agreement(names, [1, 1, 0, 0.5, 0], [1, 0, 0, 1, 0.5])
    assert found and found.share.value == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    # chance by hand: ½ × 3/8 + ½ × 5/8
    assert found.kappa == pytest.approx((0.625 - 0.5) / 0.5)
    assert agreement(names, [0.5] * 5, [1] * 5) is None
    same = agreement(names, [1] * 5, [1] * 5)
    assert same and same.kappa is None and same.share.value == 1
    one_voice = agreement(names, [1] * 5, [1, 0, 1, 0, 1])
    assert one_voice and one_voice.kappa is None


def studies(noise: float, count: int = 400) -> list[tuple[bool, float]]:
    """Return of many studies whether the interval held the human win rate, and its gain."""
    numbers, found = np.random.default_rng(8), []
    for _ in range(count):
        taste = np.clip(numbers.normal(0.6, 0.3, 600), 0, 1)
        votes = (numbers.random(600) < taste).astype(float)
        seen = np.clip(taste + numbers.normal(0, noise, 600), 0, 1)
        metric = np.round(2 * seen) / 2
        one = calibrated_win_rate(votes[:150], metric[:150], metric[150:])
        assert one
        truth = 0.5866  # the mean of that taste, cut to 0..1
        found.append((one.estimate.contains(truth), one.gain))
    return found


@pytest.mark.parametrize("noise", [0.05, 5.0])
def test_the_interval_holds_the_human_rate_whatever_the_metric_is_worth(noise: float) -> None:
    held, gains = zip(*studies(noise), strict=True)
    assert np.mean(held) > 0.92
    assert np.mean(gains) > (0.1 if noise < 1 else -0.02)


def test_a_metric_that_knows_nothing_counts_for_nothing() -> None:
    votes = np.tile([1.0, 0.0, 1.0], 50)
    found = calibrated_win_rate(votes, np.full(150, 0.5), np.full(900, 0.5))
    assert found and found.weight == 0 and found.estimate.value == pytest.approx(2 / 3)


def test_votes_that_agree_are_no_proof() -> None:
    votes, others = np.ones(20), np.tile([1.0, 0.0], 50)
    found = calibrated_win_rate(votes, np.tile([1.0, 0.0], 10), others)
    alone = win_rate([str(n) for n in range(20)], votes, np.zeros(20)).estimate
    assert found and found.estimate.value == 1 and found.gain == 0
    assert alone and found.estimate.interval == pytest.approx(alone.interval)


@pytest.mark.parametrize("right", [0.5, 0.9])
def test_the_interval_of_few_votes_holds_a_lopsided_rate(right: float) -> None:
    numbers, held = np.random.default_rng(9), 0
    for _ in range(400):
        taste = (numbers.random(120) < 0.95).astype(float)
        metric = np.where(numbers.random(120) < right, taste, 1 - taste)
        one = calibrated_win_rate(taste[:20], metric[:20], metric[20:])
        held += one is not None and one.estimate.contains(0.95)
    assert held / 400 > 0.95


def test_too_few_votes_have_no_calibrated_rate() -> None:
    assert calibrated_win_rate([1, 0], [1, 0], [1, 0, 1]) is None
    assert calibrated_win_rate([1, 0, 1], [1, 0, 1], [1]) is None
    with pytest.raises(ValueError, match="3 votes and 2 opinions"):
        calibrated_win_rate([1, 0, 1], [1, 0], [1, 0])
