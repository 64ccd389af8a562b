"""Two entries on the same prompts: win rate, difference and verdict, corrected for a whole family.

A family is what stands side by side on one page or in one table: the more comparisons are looked at
together, the more it takes for any one of them to be called better or worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

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
from bakeoff.platform.conclusions.outcomes import Chosen, Outcomes, outcomes
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
    is_binary: bool  # whether both scores of every pair are 0 or 1
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
class Judgement:
    """How often one entry beats another on one metric, and what that decides.

    The decision is on the win rate and corrected for the family; None without a pair. In a study
    that was run until decided, the number of prompts follows from the scores: limits and decision
    are then those that hold at any time, all of the family together.
    """

    entry: str
    opponent: str
    metric: str
    wins: WinRate
    decision: Decision | None


@dataclass(frozen=True)
class Comparison(Judgement):
    """A judgement with what else tells two entries apart.

    The difference is the entry's mean less the opponent's in the metric's unit; its p-values stand
    alone. Whatever takes a pair is None without one, and what only holds for a fixed number of
    prompts is None in a study that was run until decided.
    """

    difference: Estimate | None
    correlation: float | None  # of both entries' prompt means
    sign_p: float | None
    wilcoxon_p: float | None


def comparisons(
    views: Views,
    study: str,
    metric: str,
    *,
    opponent: str,
    equivalent: float | None = None,
    task: str | None = None,
    prompt_ids: Sequence[str] | None = None,
) -> list[Comparison]:
    """Return every entry of a study against one opponent on a metric.

    All of them are one family; `equivalent` is the margin of win rates that do not matter. Prompts
    are all, those of a task, or those named. A set metric has no value for a single picture, and
    therefore nothing to compare.
    """
    met = meetings(views, study, metric, opponent=opponent, task=task, prompt_ids=prompt_ids)
    return compared(met, equivalent)


def judgements(
    views: Views, study: str, metric: str, *, task: str | None = None
) -> list[Judgement]:
    """Return every ordered pair of a study's entries on a metric: one family of each two, once."""
    found = judged(meetings(views, study, metric, task=task))
    both = [*found, *map(_turned, found)]
    return sorted(both, key=lambda one: (one.entry, one.opponent))


def meetings(views: Views, study: str, metric: str, **chosen: Unpack[Chosen]) -> list[Meeting]:
    """Return what the chosen pairs of a study's entries have in common, as `outcomes` does."""
    stopping = read_stopping(views, study)
    rule = stopping.rule if stopping else None
    met = outcomes(views, study, metric, **chosen)
    return [meeting_of(one, metric, rule) for one in met]


def meeting_of(found: Outcomes, metric: str, rule: Rule | None = None) -> Meeting:
    """Return outcomes of a metric as wins and losses."""
    higher_is_better = build_metric(metric).info.higher_is_better
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


def judged(met: Sequence[Meeting], equivalent: float | None = None) -> list[Judgement]:
    """Return the judgements of one family: verdicts are corrected for all of them."""
    if met and (rule := met[0].rule):
        return _judged_anytime(met, rule, equivalent or rule.equivalent)
    decided = decisions([one.win_values for one in met], equivalent=equivalent)
    return [_judgement(one, decision) for one, decision in zip(met, decided, strict=True)]


def compared(met: Sequence[Meeting], equivalent: float | None = None) -> list[Comparison]:
    """Return the comparisons of one family, judged as `judged` does."""
    found = judged(met, equivalent)
    return [_comparison(one, judgement) for one, judgement in zip(met, found, strict=True)]


def _judged_anytime(
    met: Sequence[Meeting], rule: Rule, equivalent: float | None
) -> list[Judgement]:
    """Return the judgements of a family in a study that was run until decided."""
    family = [one.win_values for one in met]
    made = courses(family, equivalent=equivalent, confidence=1 - rule.level)
    return [_at_any_time(one, course) for one, course in zip(met, made, strict=True)]


def _at_any_time(met: Meeting, course: Course) -> Judgement:
    """Return a judgement with the limits and decision that hold whenever one looks."""
    found = _judgement(met, None)
    won = found.wins.estimate
    if won is None:
        return found
    after = None if course.verdict == "undecided" else course.prompts
    return replace(
        found,
        wins=replace(found.wins, estimate=replace(won, interval=course.interval)),
        decision=Decision(course.verdict, course.p_value, None, after),
    )


def _judgement(met: Meeting, decision: Decision | None) -> Judgement:
    wins = win_rate_of_counts(wins=met.wins, ties=met.ties, losses=met.losses, missing=met.missing)
    return Judgement(met.entry, met.opponent, met.metric, wins, decision)


def _comparison(met: Meeting, found: Judgement) -> Comparison:
    both, is_fixed = met.pairs, met.rule is None
    apart = difference(both, binary=met.is_binary)
    if apart and not is_fixed:
        apart = replace(apart, interval=_limits_at_any_time(met, found))
    return Comparison(
        entry=found.entry,
        opponent=found.opponent,
        metric=found.metric,
        wins=found.wins,
        decision=found.decision,
        difference=apart,
        correlation=pairing_correlation(both),
        sign_p=sign_test(both.differences) if is_fixed else None,
        wilcoxon_p=wilcoxon_test(both.differences) if is_fixed else None,
    )


def _limits_at_any_time(met: Meeting, found: Judgement) -> Interval | None:
    """Return limits of a difference of yes and no, twice a win rate less one; others have none."""
    won = found.wins.estimate
    if not (met.is_binary and won and won.interval):
        return None
    low, high = (2 * limit - 1 for limit in won.interval)
    is_turned = not build_metric(met.metric).info.higher_is_better
    return Interval(-high, -low) if is_turned else Interval(low, high)


def _turned(one: Judgement) -> Judgement:
    """Return a judgement as the opponent sees it."""
    wins, won = one.wins, one.wins.estimate
    if won:
        limits = Interval(1 - won.interval.high, 1 - won.interval.low) if won.interval else None
        won = replace(won, value=1 - won.value, interval=limits)
    return Judgement(
        entry=one.opponent,
        opponent=one.entry,
        metric=one.metric,
        wins=WinRate(won, wins.losses, wins.ties, wins.wins, wins.missing),
        decision=one.decision.turned() if one.decision else None,
    )
