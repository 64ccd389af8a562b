"""Comparisons that may be looked at after every prompt, and stopped by: confidence sequences.

An ordinary interval errs in 5 % of studies of a fixed size; looked at again and again, it will
sooner or later leave out the truth. These limits hold at all times together, whatever else decides
how many prompts are asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bakeoff.evaluators.comparison import Verdict
from bakeoff.evaluators.statistics import CONFIDENCE, Interval

MOST_BET = 0.5  # share of the wealth, so that no single prompt ruins a bettor
HALVINGS = 20  # of 0..1, to find a limit


@dataclass(frozen=True)
class Course:
    """What a comparison came to after so many prompts, or after all of them if it is undecided.

    The limits are those after all prompts; they and the p-value hold at any time.
    """

    verdict: Verdict
    prompts: int
    interval: Interval
    p_value: float


def courses(
    family_values: Sequence[ArrayLike],
    *,
    equivalent: float | None = None,
    confidence: float = CONFIDENCE,
) -> list[Course]:
    """Return how comparisons side by side went, each from its prompts' win values [P] in order.

    Limits, verdicts and p-values are corrected by Bonferroni, so that any of them is wrong in
    1 - confidence of studies at most. One without a prompt is no part of the family.
    """
    family = max(1, sum(len(np.asarray(values)) > 0 for values in family_values))
    strict = 1 - (1 - confidence) / family
    made = [course(values, equivalent=equivalent, confidence=strict) for values in family_values]
    return [replace(one, p_value=min(1.0, family * one.p_value)) for one in made]


def course(
    values: ArrayLike,
    *,
    null: float = 0.5,
    equivalent: float | None = None,
    confidence: float = CONFIDENCE,
) -> Course:
    """Return how a comparison went that was looked at after every one of values in 0..1, [P].

    It is decided by the first value after which the limits exclude `null`, or with a margin all
    beyond `null` ± `equivalent`. Values are to come in an order that has nothing to do with them.

    Raises:
        ValueError: a value lies outside 0..1.
    """
    bettors = _Bettors(values, confidence)
    reached: dict[Verdict, int] = {
        "better": bettors.first_above(null),
        "worse": bettors.first_below(null),
    }
    if equivalent:
        # first, as in `decide`: a difference that shall not matter is none, however sure
        low, high = null - equivalent, null + equivalent
        both = max(bettors.first_above(low), bettors.first_below(high))
        reached = {"equivalent": both, **reached}
    prompts = len(bettors.values)
    verdict = min(reached, key=lambda one: reached[one])
    if reached[verdict] >= prompts:
        return Course("undecided", prompts, bettors.limits(), bettors.p_value(null))
    return Course(verdict, reached[verdict] + 1, bettors.limits(), bettors.p_value(null))


class _Bettors:
    """Two bettors against each candidate mean: one on values above it, one on values below.

    They stake shares of their wealth that earlier values chose. A mean is excluded for good once
    half of either's wealth is above 1 / (1 - confidence), which happens to the true mean in
    1 - confidence of all studies at most. The first excludes all means below one that it excludes,
    the other all above.

    Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by
    betting", theorem 3 and equation 26.
    """

    def __init__(self, values: ArrayLike, confidence: float) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        if len(self.values) and not (self.values.min() >= 0 and self.values.max() <= 1):
            raise ValueError("values must lie in 0..1: bets on anything else have no bound")
        self.bound = np.log(2 / (1 - confidence))
        self.bets = self._bets()

    def first_above(self, mean: float) -> int:
        """Return the place of the value with which a mean is too low to be true, else P."""
        return self._first(self._wealth(self.values, mean))

    def first_below(self, mean: float) -> int:
        """Return the place of the value with which a mean is too high to be true, else P."""
        return self._first(self._wealth(1 - self.values, 1 - mean))

    def p_value(self, mean: float) -> float:
        """Return the p-value of a mean by the most that either bettor ever had."""
        both = self._wealth(self.values, mean), self._wealth(1 - self.values, 1 - mean)
        most = max(wealth.max(initial=0.0) for wealth in both)
        return float(min(1.0, 2 * np.exp(-most)))

    def limits(self) -> Interval:
        """Return the lowest and the highest mean that is not excluded, to 2 ** -HALVINGS."""
        low = self._highest_excluded(self.values)
        high = 1 - self._highest_excluded(1 - self.values)
        # values that drift are no mean's, and may exclude all: what is disputed is told then
        return Interval(min(low, high), max(low, high))

    def _highest_excluded(self, values: NDArray[np.float64]) -> float:
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self._first(self._wealth(values, middle)) < len(values):
                low = middle
            else:
                high = middle
        return low

    def _wealth(self, values: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
        """Return the logarithm of the wealth of who bets on values above a mean, [P]."""
        bets = np.minimum(self.bets, MOST_BET / mean) if mean > 0 else self.bets
        wealth: NDArray[np.float64] = np.log1p(bets * (values - mean)).cumsum()
        return wealth

    def _first(self, wealth: NDArray[np.float64]) -> int:
        rich = wealth >= self.bound
        return int(rich.argmax()) if rich.any() else len(wealth)

    def _bets(self) -> NDArray[np.float64]:
        """Return the stake before each value, from those before it alone, [P]."""
        seen = np.arange(1, len(self.values) + 1)
        means = (0.5 + np.cumsum(self.values)) / (seen + 1)
        variances = (0.25 + np.cumsum((self.values - means) ** 2)) / (seen + 1)
        before = np.concatenate([[0.25], variances[:-1]])[: len(self.values)]
        bets: NDArray[np.float64] = np.sqrt(2 * self.bound / (before * seen * np.log(seen + 1)))
        return bets
