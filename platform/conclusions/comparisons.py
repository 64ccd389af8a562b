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
from bakeoff.evaluators.stopping import Course, courses
from bakeoff.platform.conclusions.outcomes import Outcomes, outcomes
from bakeoff.platform.queries.views import Views
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import Rule, read_stopping


@dataclass(frozen=True)
class Meeting:
    """What two entries have on each common prompt [P]: outcomes of pairs, and means over them.

    Prompts are in the study's order; the rule is that of a study that was run until decided.
    """

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
    rule: Rule | None = None

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

    In a study that was run until decided, the number of prompts follows from the scores: limits and
    decision are then those that hold at any time, all of the family together, and what only holds
    for a fixed number is None.
    """

    entry: str
    opponent: str
    metric: str
    wins: WinRate
    difference: Estimate | None
    correlation: float | None  # of both entries' prompt means
    sign_p: float | None
    wilcoxon_p: float | None
    decision: Decision | None


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
    stopping = read_stopping(views, study)
    rule = stopping.rule if stopping else None
    met = outcomes(
        views,
        study,
        metric,
        entry=entry,
        opponent=opponent,
        task=task,
        prompt_ids=prompt_ids,
    )
    higher_is_better = build_metric(metric).info.higher_is_better
    return [_meeting(one, metric, higher_is_better, rule) for one in met]


def compared(met: Sequence[Meeting], equivalent: float | None = None) -> list[Comparison]:
    """Return the comparisons of one family: verdicts are corrected for all of them."""
    if met and (rule := met[0].rule):
        return _compared_anytime(met, rule, equivalent or rule.equivalent)
    decided = decisions([one.win_values for one in met], equivalent=equivalent)
    return [_comparison(one, verdict) for one, verdict in zip(met, decided, strict=True)]


def _compared_anytime(
    met: Sequence[Meeting], rule: Rule, equivalent: float | None
) -> list[Comparison]:
    """Return the comparisons of a family in a study that was run until decided."""
    family = [one.win_values for one in met]
    made = courses(family, equivalent=equivalent, confidence=1 - rule.level)
    return [_at_any_time(one, course) for one, course in zip(met, made, strict=True)]


def _at_any_time(met: Meeting, course: Course) -> Comparison:
    """Return a comparison with the limits and decision that hold whenever one looks."""
    found = _comparison(met, None)
    won, apart = found.wins.estimate, found.difference
    if won is None or apart is None:
        return found
    limits = None  # of differences, unless they are of yes and no: twice a win rate less one
    if met.is_binary:
        limits = Interval(*(2 * limit - 1 for limit in course.interval))
        if not build_metric(met.metric).info.higher_is_better:
            limits = Interval(-limits.high, -limits.low)
    after = None if course.verdict == "undecided" else course.prompts
    return replace(
        found,
        wins=replace(found.wins, estimate=replace(won, interval=course.interval)),
        difference=replace(apart, interval=limits),
        sign_p=None,
        wilcoxon_p=None,
        decision=Decision(course.verdict, course.p_value, None, after),
    )


def _meeting(found: Outcomes, metric: str, higher_is_better: bool, rule: Rule | None) -> Meeting:
    return Meeting(
        entry=found.entry,
        opponent=found.opponent,
        metric=metric,
        wins=found.above if higher_is_better else found.below,
        ties=found.equal,
        losses=found.below if higher_is_better else found.above,
        ours=found.ours,
        theirs=found.theirs,
        is_binary=found.is_binary,
        missing=found.missing,
        rule=rule,
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
