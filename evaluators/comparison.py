"""Two entries on the same prompts: how far apart, how surely, and what more prompts would tell.

Everything starts from one value a prompt, the mean over its seeds: the prompt is the unit.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bakeoff.evaluators.statistics import (
    CONFIDENCE,
    ROUNDING,
    UNIT,
    Estimate,
    Interval,
    adjusted_interval,
    adjusted_test,
    is_constant,
    mean_interval,
    prompt_means,
)

POWER = 0.8
MOST_PROMPTS = 10**9  # that anybody is told to take
Verdict = Literal["better", "worse", "equivalent", "undecided"]


class Pairs(NamedTuple):
    """What both entries have on each common prompt: means [P] of each, and pairs behind them."""

    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def differences(self) -> NDArray[np.float64]:
        """Our mean less theirs, by prompt [P]; 0 where they differ by the rounding of means."""
        apart = self.ours - self.theirs
        apart[np.abs(apart) <= ROUNDING * np.maximum(np.abs(self.ours), np.abs(self.theirs))] = 0
        return apart


@dataclass(frozen=True)
class Decision:
    """What a comparison comes to, and the further prompts that would decide it; None: no number.

    `p_value` is corrected for the other comparisons of its family. `decided_after` so many prompts
    is one that was looked at after each of them.
    """

    verdict: Verdict
    p_value: float
    further_prompts: int | None
    decided_after: int | None = None

    def turned(self) -> Self:
        """Return the same decision as the opponent sees it."""
        other: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
        return replace(self, verdict=other.get(self.verdict, self.verdict))


def pairs(prompts: Sequence[str], ours: ArrayLike, theirs: ArrayLike) -> Pairs:
    """Return the prompt means of pairs [n]; a pair with NaN on either side is left out.

    Raises:
        ValueError: the three differ in length.
    """
    left, right = (np.asarray(side, dtype=np.float64) for side in (ours, theirs))
    if not left.shape == right.shape == (len(prompts),):
        raise ValueError(f"{len(prompts)} prompts, {left.shape} and {right.shape} values differ")
    whole = ~(np.isnan(left) | np.isnan(right))
    kept = [prompt for prompt, keep in zip(prompts, whole, strict=True) if keep]
    means, counts = prompt_means(kept, left[whole])
    return Pairs(means, prompt_means(kept, right[whole]).means, counts)


def difference(
    found: Pairs, *, binary: bool = False, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the paired mean difference with its interval; None without a pair.

    `binary` tells that values are yes or no: a difference is then twice a win rate less one, and
    so is its interval, which also holds where nearly all prompts tie.
    """
    values = found.differences
    if not len(values):
        return None
    if binary:
        interval: Interval | None = adjusted_interval(values, Interval(-1.0, 1.0), confidence)
    else:
        interval = mean_interval(values, confidence)
    return Estimate(float(values.mean()), interval, len(values), int(found.counts.sum()))


def pairing_correlation(found: Pairs) -> float | None:
    """Return the correlation of both entries' prompt means: what pairing saves; None if undefined.

    A comparison of unpaired prompts would need 1 / (1 - ρ) times as many.
    """
    ours, theirs, _ = found
    if len(ours) < 3 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return None
    return float(np.corrcoef(ours, theirs)[0, 1])


def t_test(values: ArrayLike, null: float = 0.0) -> float:
    """Return the two-sided p-value of Student's test that independent values [n] have mean `null`.

    1 without two values, and when all are equal: see `mean_interval`.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or is_constant(array):
        return 1.0
    array = array - null
    error = array.std(ddof=1) / np.sqrt(len(array))
    return float(2 * stats.t.sf(abs(array.mean() / error), len(array) - 1))


def sign_test(differences: ArrayLike) -> float:
    """Return the exact two-sided p-value that differences [P] are as often above zero as below."""
    array = np.asarray(differences, dtype=np.float64)
    above, below = int((array > 0).sum()), int((array < 0).sum())
    return min(1.0, float(2 * stats.binom.cdf(min(above, below), above + below, 0.5)))


def wilcoxon_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; ties rank, zeros leave theirs.

    Source: Wilcoxon (1945), with the zeros of Pratt (1959).
    """
    array = np.asarray(differences, dtype=np.float64)
    if not array.any():
        return 1.0
    scaled = np.round(array / np.abs(array).max(), 12)  # ties of means differ by their rounding
    return float(stats.wilcoxon(scaled, zero_method="pratt").pvalue)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values [K] corrected for standing side by side: any below α errs in α of families.

    Source: Holm (1979).
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = raw.argsort(kind="stable")
    steps = raw[order] * np.arange(len(raw), 0, -1)
    corrected = np.empty_like(raw)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def decisions(
    family_values: Sequence[ArrayLike],
    *,
    equivalent: float | None = None,
    confidence: float = CONFIDENCE,
) -> list[Decision | None]:
    """Return the verdicts on comparisons side by side, each from its prompts' win values [P].

    Differences are corrected by Holm, equivalence within ½ ± `equivalent` by Bonferroni, so that
    either kind errs in 1 - confidence of families at most. A comparison without a prompt has no
    verdict, and is no part of the family.
    """
    made = [np.asarray(values, dtype=np.float64) for values in family_values]
    family = [values for values in made if len(values)]
    corrected = holm([adjusted_test(values, UNIT, 0.5) for values in family])
    strict = 1 - (1 - confidence) / max(1, len(family))
    p_values = iter(corrected.tolist())
    return [
        decide(
            values,
            adjusted_interval(values, UNIT, strict) if equivalent else None,
            null=0.5,
            p_value=next(p_values),
            equivalent=equivalent,
            confidence=confidence,
            family=len(family),
        )
        if len(values)
        else None
        for values in made
    ]


def decide(
    values: ArrayLike,
    interval: Interval | None,
    *,
    null: float,
    p_value: float,
    equivalent: float | None = None,
    higher_is_better: bool = True,
    confidence: float = CONFIDENCE,
    family: int = 1,
) -> Decision:
    """Return the verdict on prompts' values [P], whose mean has this interval and p-value.

    `null` is the value of a tie, 0 of differences and ½ of wins. It is equivalent if the interval
    lies within `null` ± `equivalent`, as differences of that size shall not matter; otherwise
    better or worse if the p-value is at most 1 - confidence; otherwise undecided. P-value and
    interval are corrected by whoever knows the family; the further prompts are those that the
    strictest correction for so many comparisons asks for.
    """
    array = np.asarray(values, dtype=np.float64)
    verdict: Verdict = "undecided"
    if equivalent and interval and _within(interval, null, equivalent):
        verdict = "equivalent"
    elif p_value <= 1 - confidence:
        verdict = "better" if (array.mean() > null) == higher_is_better else "worse"
    if verdict != "undecided" or len(array) < 2:
        return Decision(verdict, p_value, 0 if verdict != "undecided" else None)
    strict = 1 - (1 - confidence) / family
    needed = prompts_needed(array, null, equivalent, strict)
    further = None if needed is None else max(1, needed - len(array))
    return Decision(verdict, p_value, further)


def _within(interval: Interval, null: float, margin: float) -> bool:
    return null - margin < interval.low and interval.high < null + margin


def prompts_needed(
    values: ArrayLike,
    null: float,
    equivalent: float | None = None,
    confidence: float = CONFIDENCE,
    power: float = POWER,
) -> int | None:
    """Return the prompts after which win values such as these [P] would be decided with a power.

    Either as a difference or, with a margin, as equivalent, whichever takes fewer; None if neither
    ever would. The interval is that of `adjusted_interval`, as wide as it would be then.
    """
    array = np.asarray(values, dtype=np.float64)
    mean, variance, spread = array.mean(), array.var(), array.std(ddof=1)

    def is_decided(count: int) -> bool:
        centre = (count * mean + sum(UNIT) / 2) / (count + 1)
        squares = count * (variance + (mean - centre) ** 2)
        squares += sum((limit - centre) ** 2 / 2 for limit in UNIT)
        error = np.sqrt(squares / count / (count + 1))
        reach = stats.t.ppf((1 + confidence) / 2, count) * error
        reach += stats.norm.ppf(power) * spread / np.sqrt(count)
        apart = abs(centre - null)
        return bool(max(apart, (equivalent or 0) - apart) > reach)

    most = len(array)
    while not is_decided(most):
        most *= 2
        if most > MOST_PROMPTS:
            return None
    return bisect_left(range(most), True, lo=1, key=is_decided)


def win_sample_size(
    win_rate: float,
    confidence: float = CONFIDENCE,
    power: float = POWER,
    tie_share: float = 0.0,
) -> int:
    """Return the prompts that it takes to see a win rate, as one seed of each.

    Of them `tie_share` tie. 783 for 55 % without ties.

    Source: the normal approximation of a test of a proportion, Fleiss (1981) chapter 2.

    Raises:
        ValueError: no win rate with so many ties, or it is one half.
    """
    most = 1 - tie_share / 2
    if not 0 <= tie_share < 1 or not 1 - most <= win_rate <= most or win_rate == 0.5:
        raise ValueError(
            f"win_rate must lie within {1 - most:g}..{most:g} and not be 0.5, got {win_rate:g}"
        )
    effect = abs(win_rate - 0.5)
    tied, found = (np.sqrt(((1 - tie_share) / 4) - shift**2) for shift in (0.0, effect))
    sure, strong = stats.norm.ppf((1 + confidence) / 2), stats.norm.ppf(power)
    return int(np.ceil(((sure * tied + strong * found) / effect) ** 2))


def difference_test(found: Pairs, *, binary: bool = False) -> float:
    """Return the two-sided p-value of no mean difference, Student's but for yes and no."""
    values = found.differences
    return adjusted_test(values, Interval(-1.0, 1.0), 0.0) if binary else t_test(values)


def not_worse(
    found: Estimate,
    margin: float,
    *,
    p_value: float,
    higher_is_better: bool = True,
    confidence: float = CONFIDENCE,
) -> bool | None:
    """Tell whether a mean difference is not worse than -margin; None: too few prompts to tell.

    True where the interval excludes more. False where it does not, and the p-value, corrected by
    whoever knows the family, says that there is a loss.

    Source: Piaggio et al. (2012), non-inferiority trials.
    """
    sign = 1.0 if higher_is_better else -1.0
    if found.interval and min(sign * limit for limit in found.interval) > -margin:
        return True
    return False if p_value <= 1 - confidence and sign * found.value < 0 else None
