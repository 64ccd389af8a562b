"""Quality against its cost: what stands on the front, and how many times faster one entry is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bakeoff.evaluators.statistics import CONFIDENCE, Interval


@dataclass(frozen=True)
class Ratio:
    """How many times one number is another; `interval` is None where too few values allow none."""

    value: float
    interval: Interval | None


def on_front(
    qualities: ArrayLike, costs: ArrayLike, *, higher_is_better: bool = True
) -> NDArray[np.bool_]:
    """Return which points [n] stand on the Pareto front: no other is better and as cheap.

    Nor cheaper and as good. Points that are alike in both stand on it together.
    """
    cost = np.asarray(costs, dtype=np.float64)
    quality = np.asarray(qualities, dtype=np.float64) * (1 if higher_is_better else -1)
    as_good = quality[None, :] >= quality[:, None]  # [point, other]
    as_cheap = cost[None, :] <= cost[:, None]
    better = (quality[None, :] > quality[:, None]) | (cost[None, :] < cost[:, None])
    return ~np.any(as_good & as_cheap & better, axis=1)


def median_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of the median of independent values [n]; None below six at 95 %.

    By order statistics, so that it holds for times of any distribution.

    Source: Conover (1999), Practical Nonparametric Statistics, section 3.2.
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return None
    found = stats.quantile_test(array, q=float(np.median(array)), p=0.5)
    low, high = found.confidence_interval(confidence_level=confidence)
    return Interval(float(low), float(high)) if np.isfinite([low, high]).all() else None


def speed_up(
    baseline_seconds: ArrayLike, seconds: ArrayLike, confidence: float = CONFIDENCE
) -> Ratio | None:
    """Return how many times faster an entry's median batch is than the baseline's; None without.

    `baseline_seconds` [m] and `seconds` [n] are those of batches, an image each. The interval holds
    where both medians lie in theirs, each with half of the risk.

    Source: Bonferroni's inequality on `median_interval`.
    """
    theirs, ours = (np.asarray(side, dtype=np.float64) for side in (baseline_seconds, seconds))
    if not len(theirs) or not len(ours) or np.median(ours) <= 0:
        return None
    each = (1 + confidence) / 2
    slow, fast = median_interval(theirs, each), median_interval(ours, each)
    interval = None
    if slow and fast and fast.low > 0:
        interval = Interval(slow.low / fast.high, slow.high / fast.low)
    return Ratio(float(np.median(theirs) / np.median(ours)), interval)
