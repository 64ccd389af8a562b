"""Two entries on the same prompts: win rate, difference and verdict, corrected for a whole family.

A family is what stands side by side on one page or in one table: the more comparisons are looked at
together, the more it takes for any one of them to be called better or worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluators.comparison import (
    Decision,
    Pairs,
    decisions,
    difference,
    pairing_correlation,
    sign_test,
    wilcoxon_test,
)
from bakeoff.evaluators.statistics import Estimate, Interval, WinRate, win_rate_of_counts
from bakeoff.platform.metrics import build_metric
from bakeoff.platform.views import Row, Views
from bakeoff.samplers.errors import InputError


@dataclass(frozen=True)
class Meeting:
    """What two entries have on each common prompt [P]: outcomes of pairs, and means over them."""

    entry: str
    opponent: str
    metric: str
    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    losses: NDArray[np.int64]
    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]
    is_binary: bool  # whether every value is 0 or 1
    missing: int  # scores of either side without one beside them

    @property
    def win_values(self) -> NDArray[np.float64]:
        """The share of a prompt's pairs that the entry wins, a tie counting half, [P]."""
        return (self.wins + 0.5 * self.ties) / self.pairs.counts

    @property
    def pairs(self) -> Pairs:
        """Both entries' means and the pairs behind them."""
        return Pairs(self.ours, self.theirs, self.wins + self.ties + self.losses)


@dataclass(frozen=True)
class Comparison:
    """One entry against another on one metric.

    The difference is the entry's mean less the opponent's in the metric's unit; its p-values stand
    alone. The decision is on the win rate and corrected for the family. Whatever takes a pair is
    None without one.
    """

    entry: str
    opponent: str
    metric: str
    wins: WinRate
    difference: Estimate | None
    correlation: float | None  # of both entries' prompt means
    sign_p: float
    wilcoxon_p: float
    decision: Decision | None


def check_margin(equivalent: float | None) -> None:
    """Check a margin of win rates that do not matter.

    Raises:
        InputError: it is no share of wins.
    """
    if equivalent is not None and not 0 < equivalent < 0.5:
        raise InputError(
            f"equivalent must be a share of wins between 0 and 0.5, got {equivalent:g}"
        )


def comparisons(
    views: Views,
    study: str,
    metric: str,
    *,
    opponent: str | None = None,
    equivalent: float | None = None,
    task: str | None = None,
    prompt_ids: Sequence[str] | None = None,
) -> list[Comparison]:
    """Return every ordered pair of entries on a metric, or every entry against one opponent.

    All of them are one family, in which each two entries count once; `equivalent` is the margin of
    win rates that do not matter. Prompts are all, those of a task, or those named. A set metric has
    no value for a single picture, and therefore nothing to compare.
    """
    met = meetings(views, study, metric, opponent=opponent, task=task, prompt_ids=prompt_ids)
    found = compared(met, equivalent)
    if opponent is None:
        found += [_turned(one) for one in found]
    return sorted(found, key=lambda one: (one.entry, one.opponent))


def meetings(
    views: Views,
    study: str,
    metric: str,
    *,
    entry: str | None = None,
    opponent: str | None = None,
    task: str | None = None,
    prompt_ids: Sequence[str] | None = None,
) -> list[Meeting]:
    """Return what entries have in common with an opponent, or each two entries of a study, once."""
    higher_is_better = build_metric(metric).info.higher_is_better
    named = None if prompt_ids is None else list(prompt_ids)
    rows = views.query(
        "outcomes",
        study=study,
        metric=metric,
        entry=entry,
        opponent=opponent,
        task=task,
        prompt_ids=named,
    )
    return [_meeting(row, higher_is_better) for row in rows]


def compared(met: Sequence[Meeting], equivalent: float | None = None) -> list[Comparison]:
    """Return the comparisons of one family: verdicts are corrected for all of them."""
    decided = decisions([one.win_values for one in met], equivalent=equivalent)
    return [_comparison(one, verdict) for one, verdict in zip(met, decided, strict=True)]


def _meeting(row: Row, higher_is_better: bool) -> Meeting:
    above, equal, below = (np.array(row[name], np.int64) for name in ("above", "equal", "below"))
    return Meeting(
        entry=row["entry"],
        opponent=row["opponent"],
        metric=row["metric"],
        wins=above if higher_is_better else below,
        ties=equal,
        losses=below if higher_is_better else above,
        ours=np.array(row["ours"], np.float64),
        theirs=np.array(row["theirs"], np.float64),
        is_binary=row["is_binary"],
        missing=row["missing"],
    )


def _comparison(met: Meeting, decision: Decision | None) -> Comparison:
    both = met.pairs
    return Comparison(
        entry=met.entry,
        opponent=met.opponent,
        metric=met.metric,
        wins=win_rate_of_counts(
            wins=met.wins, ties=met.ties, losses=met.losses, missing=met.missing
        ),
        difference=difference(both, binary=met.is_binary),
        correlation=pairing_correlation(both),
        sign_p=sign_test(both.differences),
        wilcoxon_p=wilcoxon_test(both.differences),
        decision=decision,
    )


def _turned(one: Comparison) -> Comparison:
    """Return a comparison as the opponent sees it."""
    wins = one.wins
    return replace(
        one,
        entry=one.opponent,
        opponent=one.entry,
        wins=WinRate(_about(wins.estimate, 1.0), wins.losses, wins.ties, wins.wins, wins.missing),
        difference=_about(one.difference, 0.0),
        decision=one.decision.turned() if one.decision else None,
    )


def _about(estimate: Estimate | None, total: float) -> Estimate | None:
    """Return a number's counterpart, with which it adds up to `total`."""
    if estimate is None:
        return None
    low, high = estimate.interval or (None, None)
    turned = None if low is None or high is None else Interval(total - high, total - low)
    return replace(estimate, value=total - estimate.value, interval=turned)
