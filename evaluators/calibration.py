"""Metrics held against people: how well one agrees with votes, and win rates that both decide.

A metric has an opinion of every prompt and may be wrong; people are right and have seen few.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bakeoff.evaluators.statistics import (
    CONFIDENCE,
    UNIT,
    Estimate,
    Interval,
    adjusted_moments,
    estimate_of_means,
    prompt_means,
)


class Agreement(NamedTuple):
    """How often a metric prefers what people prefer, votes that tie left out; and Cohen's kappa.

    kappa is 0 for what chance alone would give, 1 for full agreement; None where all votes or all
    of the metric's say the same.
    """

    share: Estimate
    kappa: float | None


@dataclass(frozen=True)
class Calibrated:
    """A human win rate with what the metric adds; `gain` is by how much its variance shrank."""

    estimate: Estimate
    weight: float  # of the metric, 0..1; 0 is votes alone
    gain: float


def agreement(
    prompts: list[str], votes: ArrayLike, opinions: ArrayLike, confidence: float = CONFIDENCE
) -> Agreement | None:
    """Return how a metric agrees with votes on the same pairs; None without a decided vote.

    Both are win values [n], 1, ½ or 0 for the first; an opinion that ties agrees by half.
    """
    vote, opinion = (np.asarray(side, dtype=np.float64) for side in (votes, opinions))
    decided = vote != 0.5
    if not decided.any():
        return None
    alike = 1 - np.abs(vote - opinion)[decided]
    kept = [prompt for prompt, keep in zip(prompts, decided, strict=True) if keep]
    binary = bool(np.isin(alike, (0.0, 1.0)).all())
    share = estimate_of_means(prompt_means(kept, alike), binary=binary, confidence=confidence)
    assert share is not None
    first, other = vote[decided].mean(), opinion[decided].mean()
    chance = first * other + (1 - first) * (1 - other)
    # One voice on either side leaves nothing that chance could not give.
    one_voice = len(set(vote[decided])) == 1 or len(set(opinion[decided])) == 1
    kappa = None if one_voice else float((alike.mean() - chance) / (1 - chance))
    return Agreement(share, kappa)


def calibrated_win_rate(
    votes: ArrayLike, opinions: ArrayLike, everywhere: ArrayLike, confidence: float = CONFIDENCE
) -> Calibrated | None:
    """Return the human win rate by votes on few prompts and a metric's opinion of all.

    votes, opinions [n]: people's and the metric's win values of the prompts that were voted on;
    everywhere [N]: the metric's on the other prompts. Voted prompts are to be a random choice. The
    metric is weighed so that the variance is least: a useless one counts for nothing. None with
    fewer than three votes or two other prompts. The interval takes what votes correct as if half a
    prompt more lay at each of its limits, as `win_rate` does: twenty votes that agree are no proof.

    Source: Angelopoulos, Duchi and Zrnic (2023), "PPI++", equations 3 and 7.
    """
    vote, opinion, others = (
        np.asarray(side, dtype=np.float64) for side in (votes, opinions, everywhere)
    )
    if len(vote) != len(opinion):
        raise ValueError(f"{len(vote)} votes and {len(opinion)} opinions of them differ")
    count, more = len(vote), len(others)
    if count < 3 or more < 2:
        return None
    spread = np.concatenate([opinion, others]).var(ddof=1)
    shared = float(np.cov(vote, opinion)[0, 1])
    weight = 0.0 if spread == 0 else float(np.clip(shared / (spread * (1 + count / more)), 0, 1))
    corrected, said = vote - weight * opinion, weight * others.mean()
    value = float(np.clip(said + corrected.mean(), 0, 1))
    variance = weight**2 * others.var(ddof=1) / more
    centre, deviation, prompts = adjusted_moments(corrected, Interval(-weight, 1.0))
    variance += deviation**2 / prompts
    half = stats.t.ppf((1 + confidence) / 2, prompts - 1) * np.sqrt(variance)
    low, high = float(said + centre - half), float(said + centre + half)
    interval = Interval(max(0.0, min(low, value)), min(1.0, max(high, value)))
    alone = adjusted_moments(vote, UNIT)
    gain = float(1 - variance * alone.prompts / alone.deviation**2)
    estimate = Estimate(value, interval, count + more, count + more)
    return Calibrated(estimate, weight, gain)
