"""Is a store as good as a baseline's, and no slower? For people's continuous integration.

The question is not whether something differs, but whether it got worse by more than a margin: it
passes only if the data exclude that, and says so if they do not suffice.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bakeoff.evaluators.comparison import difference, difference_test, holm, not_worse
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import Meeting
from bakeoff.platform.conclusions.leaderboard import choose_study
from bakeoff.platform.conclusions.two_stores import (
    meetings_between,
    same_pictures,
    shared_entries,
    shared_metrics,
)
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.samplers.errors import InputError, shown, unknown

State = Literal["passed", "regressed", "undecided"]
GROWTH = re.compile(r"\+?(\d+(?:\.\d+)?)%")


@dataclass(frozen=True)
class Limits:
    """What may get worse: a metric's mean by its unit, latency and memory by a share."""

    equivalent: float
    latency: float | None = None  # 0.05 for +5%
    memory: float | None = None


@dataclass(frozen=True)
class Check:
    """One figure of an entry beside the baseline's; a difference has an interval, a cost none."""

    entry: str
    measure: str
    value: float | None
    baseline: float | None
    difference: Estimate | None
    state: State
    remark: str = ""


@dataclass(frozen=True)
class Gate:
    """All checks of a study, and what they come to: regressed if one is, passed if all are."""

    study: str
    limits: Limits
    checks: tuple[Check, ...]
    only_here: tuple[str, ...]
    only_baseline: tuple[str, ...]

    @property
    def state(self) -> State:
        """The worst of all checks."""
        states = {check.state for check in self.checks}
        return next(one for one in ("regressed", "undecided", "passed") if one in states)

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {"state": self.state} | asdict(self)


def growth(text: str, option: str) -> float:
    """Return a share spelled `+5%`.

    Raises:
        InputError: it is spelled in another way.
    """
    found = GROWTH.fullmatch(text)
    if not found:
        raise InputError(f"{option} must be a growth such as +5%, got {shown(text)}")
    return float(found[1]) / 100


def gate(
    views: Views,
    baseline: Views,
    limits: Limits,
    *,
    study: str | None = None,
    metrics: Sequence[str] = (),
) -> Gate:
    """Return the checks of each entry of a study against that of the same name in a baseline store.

    On each metric, or those named, an entry passes whose mean is shown to be not more than the
    margin below the baseline's, and regresses if it is below and not shown to be within the margin,
    p-values corrected by Holm for all checks. Costs must not grow by more than their limits.

    Raises:
        InputError: a store lacks the study, they share no entry or metric, or a margin is wrong.
    """
    if not limits.equivalent > 0:
        raise InputError(f"equivalent must be above 0, got {limits.equivalent:g}")
    study = choose_study(views, study)
    choose_study(baseline, study)
    shared = shared_entries(views, baseline, study)
    chosen = _chosen(shared_metrics(views, baseline, study), metrics)
    met = [one for name in chosen for one in meetings_between(views, baseline, study, name)]
    checks = _quality(met, limits.equivalent, same_pictures(views, baseline, study))
    mine, theirs = (
        {row["entry"]: row for row in one.query("study_entries", study=study)}
        for one in (views, baseline)
    )
    for entry in shared:
        checks += _costs(mine[entry], theirs[entry], limits)
    order = {entry: place for place, entry in enumerate(shared)}
    checks.sort(key=lambda check: order[check.entry])
    return Gate(
        study,
        limits,
        tuple(checks),
        only_here=tuple(name for name in mine if name not in theirs),
        only_baseline=tuple(name for name in theirs if name not in mine),
    )


def _chosen(shared: list[str], wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        if name not in shared:
            raise unknown("metric", name, shared)
    return [name for name in shared if not wanted or name in wanted]


def _quality(met: Sequence[Meeting], margin: float, unchanged: set[str]) -> list[Check]:
    p_values = holm([difference_test(one.pairs, binary=one.is_binary) for one in met])
    return [
        _check(one, margin, float(p_value), one.entry in unchanged)
        for one, p_value in zip(met, p_values, strict=True)
    ]


def _check(met: Meeting, margin: float, p_value: float, is_unchanged: bool) -> Check:
    found = difference(met.pairs, binary=met.is_binary)
    if found is None:
        return Check(met.entry, met.metric, None, None, None, "undecided", "no pair of scores")
    higher = build_metric(met.metric).info.higher_is_better
    passed = not_worse(found, margin, p_value=p_value, higher_is_better=higher)
    states: dict[bool | None, State] = {True: "passed", False: "regressed", None: "undecided"}
    remark = f"{met.missing} scores without a pair" if met.missing else ""
    is_tied = not (met.missing or met.wins.any() or met.losses.any())
    if is_unchanged and is_tied:  # equal scores of equal pictures are no matter of chance
        passed, remark = True, "same pictures"
    means = float(met.ours.mean()), float(met.theirs.mean())
    return Check(met.entry, met.metric, *means, found, states[passed], remark)


def _costs(mine: Row, theirs: Row, limits: Limits) -> Iterator[Check]:
    """Yield the checks of what an entry costs, as far as there are limits."""
    if limits.latency is not None:
        yield _cost(mine, theirs, "s/img", "seconds_per_image", limits.latency)
    if limits.memory is not None:
        yield _cost(mine, theirs, "memory", "peak_memory_bytes", limits.memory)


def _cost(mine: Row, theirs: Row, measure: str, column: str, limit: float) -> Check:
    value, before = mine[column], theirs[column]
    remark = _unlike(mine, theirs, column)
    state: State = "undecided"
    if not remark:
        state = "passed" if value <= before * (1 + limit) else "regressed"
        remark = f"{value / before - 1:+.1%}"
    return Check(mine["entry"], measure, value, before, None, state, remark)


def _unlike(mine: Row, theirs: Row, column: str) -> str:
    """Say why two costs cannot be compared; nothing if they can."""
    if not (mine[column] and theirs[column]):
        return "not measured"
    if any(mine[name] != theirs[name] for name in ("device", "batch_size")):
        return "other device or batch size"
    untypical = 0 in (mine["typical_batches"], theirs["typical_batches"])
    if untypical and column == "seconds_per_image":
        return "first or traced batches only"
    return ""
