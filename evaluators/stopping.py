"""Confidence sequences: intervals that may be looked at after every prompt, and stopped by.

An ordinary interval errs in 5 % of studies of a fixed size; looked at again and again, it will
sooner or later leave out the truth. These hold at all times together.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bakeoff.evaluators.comparison import Verdict
from bakeoff.evaluators.statistics import CONFIDENCE, Interval

GRID = 1001  # candidate means; limits are rounded outwards to the next one
MOST_BET = 0.5  # share of the wealth, so that no single prompt ruins a bettor


class ConfidenceSequence(NamedTuple):
    """Lower and upper limits after each prompt [P]; each holds at all times at once."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def last(self) -> Interval:
        """The interval after all prompts; [0, 1] before the first."""
        if not len(self.low):
            return Interval(0.0, 1.0)
        return Interval(float(self.low[-1]), float(self.high[-1]))


@dataclass(frozen=True)
class Course:
    """What a comparison came to, after how many prompts, and the limits that it then had.

    Undecided ones have been through all prompts.
    """

    verdict: Verdict
    prompts: int
    interval: Interval


def confidence_sequence(values: ArrayLike, confidence: float = CONFIDENCE) -> ConfidenceSequence:
    """Return the hedged-capital confidence sequence for the mean of values in [0, 1], [P].

    For each candidate mean two bettors, one on more and one on less, stake shares of their wealth
    that earlier values chose. A candidate is excluded for good once half of their joint wealth
    is above 1 / (1 - confidence), which happens to the true mean in 1 - confidence of all studies
    at most. Values are to come in an order that has nothing to do with them.

    Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by
    betting", theorem 3 and equation 26.

    Raises:
        ValueError: a value lies outside [0, 1].
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError("values must lie in 0..1: bets on anything else have no bound")
    means = np.linspace(0, 1, GRID)
    bound = np.log(2 / (1 - confidence))
    more, less = np.zeros(GRID), np.zeros(GRID)  # logarithms of wealth
    open_means = np.ones(GRID, dtype=bool)
    low, high = np.empty(len(array)), np.empty(len(array))
    for place, (value, bet) in enumerate(zip(array, _bets(array, confidence), strict=True)):
        with np.errstate(divide="ignore"):
            up = np.minimum(bet, MOST_BET / means)
            down = np.minimum(bet, MOST_BET / (1 - means))
        more += np.log1p(up * (value - means))
        less += np.log1p(-down * (value - means))
        open_means &= np.maximum(more, less) < bound
        left = means[open_means]
        if not len(left):  # the values are no mean's: keep what was last believed
            low[place:], high[place:] = low[place - 1], high[place - 1]
            break
        step = means[1]
        low[place], high[place] = max(0.0, left[0] - step), min(1.0, left[-1] + step)
    return ConfidenceSequence(low, high)


def _bets(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Return the stake before each value, from those before it alone, [P]."""
    seen = np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (seen + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (seen + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.sqrt(2 * np.log(2 / (1 - confidence)) / (before * seen * np.log(seen + 1)))


def course(
    values: ArrayLike,
    *,
    null: float = 0.5,
    equivalent: float | None = None,
    confidence: float = CONFIDENCE,
) -> Course:
    """Return how a comparison went that was looked at after every one of values [P].

    It ends with the first value after which the limits exclude `null`, or with a margin lie within
    `null` ± `equivalent`.
    """
    low, high = confidence_sequence(values, confidence)
    verdicts: dict[Verdict, NDArray[np.bool_]] = {"better": low > null, "worse": high < null}
    if equivalent:
        # first, as in `decide`: a difference that shall not matter is none, however sure
        within = (low > null - equivalent) & (high < null + equivalent)
        verdicts = {"equivalent": within, **verdicts}
    done = np.logical_or.reduce(list(verdicts.values()))
    if not done.any():
        return Course("undecided", len(low), ConfidenceSequence(low, high).last)
    last = int(done.argmax())
    verdict = next(name for name, holds in verdicts.items() if holds[last])
    return Course(verdict, last + 1, Interval(float(low[last]), float(high[last])))
