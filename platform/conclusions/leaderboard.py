"""The leaderboard of a study: what its store says about each entry, ready to be drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np

from bakeoff.evaluators.metric import Metric, MetricInfo, SetMetric
from bakeoff.evaluators.statistics import (
    Estimate,
    PromptMeans,
    WinRate,
    estimate_of_means,
)
from bakeoff.platform.conclusions.comparisons import Comparison, comparisons
from bakeoff.platform.conclusions.confirmation import Confirmation, confirmation
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.studies.benchmarks import known_tasks
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import Stopping, check_margin, read_stopping
from bakeoff.samplers.errors import InputError, unknown


@dataclass(frozen=True)
class Standing:
    """One entry's line: its size, scores with intervals, win rate and cost."""

    entry: str
    model: str
    weights_hash: str
    dtype: str | None  # of the transformer
    compiled: bool | None
    recipe: str
    is_baseline: bool
    is_control: bool  # the baseline again with other seeds
    is_chosen: bool  # the best on these prompts, or on those that the study chooses on
    samples: int
    prompts: int
    scores: Mapping[str, Estimate]  # by metric; a metric without scores is absent
    tasks: Mapping[str, Estimate]  # the deciding metric, by task
    comparison: Comparison | None  # with the baseline; None for the baseline itself
    seconds_per_image: float | None
    is_typical: bool  # False: only first or traced batches were measured, which are slower
    batch_size: int | None  # with the device, those of the batches that were measured
    device: str | None
    row_evaluations: float | None  # per image
    peak_memory_bytes: int | None

    @property
    def wins(self) -> WinRate | None:
        """How often it beats the baseline."""
        return self.comparison.wins if self.comparison else None


@dataclass(frozen=True)
class Leaderboard:
    """A study's standings in its own order, and what is needed to read them."""

    study: str
    metrics: tuple[MetricInfo, ...]
    unreadable: tuple[str, ...]  # metrics of the study that this installation does not have
    decided_by: str | None  # the metric of the win rates and tasks
    baseline: str | None
    equivalent: float | None  # the margin of win rates that do not matter
    confirmation: Confirmation | None  # of the best entry; None where none beats the baseline
    standings: tuple[Standing, ...]
    stopping: Stopping | None = None  # None: the number of prompts was fixed beforehand

    @property
    def family(self) -> int:
        """The number of comparisons that verdicts are corrected for."""
        return sum(bool(s.comparison and s.comparison.decision) for s in self.standings)

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values; an interval is [low, high] or null."""
        return asdict(self)


def choose_study(views: Views, study: str | None = None) -> str:
    """Return the study named, or the one that was run last.

    Raises:
        InputError: the store holds no run, or no such study.
    """
    names = [row["study"] for row in views.query("studies")]
    if not names:
        raise InputError("the store holds no run yet: fill it with 'bakeoff run --store DIR'")
    if study is not None and study not in names:
        raise unknown("study", study, names)
    return study or names[0]


def leaderboard(
    views: Views,
    study: str | None = None,
    decided_by: str | None = None,
    equivalent: float | None = None,
) -> Leaderboard:
    """Return the standings of a study, by default the last; `decided_by` names a metric.

    `equivalent` is the margin of win rates within which entries are as good as the baseline, by
    default that at which a run until decided stopped.

    Raises:
        InputError: the store holds no run, or the study or metric is unknown, or the margin is no
            share.
    """
    check_margin(equivalent)
    study = choose_study(views, study)
    stopping = read_stopping(views, study)
    equivalent = equivalent or (stopping.rule.equivalent if stopping else None)
    metrics, unreadable = study_metrics(views, study)
    infos = tuple(metric.info for metric in metrics)
    decided_by = _deciding(infos, decided_by)
    entries = views.query("study_entries", study=study)
    baseline = next((row["entry"] for row in entries if row["baseline"]), None)
    scores, tasks = _means(views, study, infos, decided_by, _task_order(entries))
    for metric in metrics:
        if metric.info.kind == "set":
            scores[metric.info.name] = _distances(views, study, cast(SetMetric, metric))
    compared: list[Comparison] = []
    if baseline is not None and decided_by is not None:
        compared = comparisons(views, study, decided_by, opponent=baseline, equivalent=equivalent)
    by_entry = {one.entry: one for one in compared}
    standings = tuple(_standing(row, baseline, scores, tasks, by_entry) for row in entries)
    chosen = None
    if baseline is not None and decided_by is not None:
        able = [one.entry for one in standings if not one.is_control]
        chosen = confirmation(views, study, decided_by, baseline, able, compared, equivalent)
    standings = tuple(
        replace(one, is_chosen=chosen is not None and one.entry == chosen.entry)
        for one in standings
    )
    if stopping and (decided_by, equivalent) == (_deciding(infos, None), stopping.rule.equivalent):
        stopping = replace(stopping, open=_open(stopping, compared))
    return Leaderboard(
        study, infos, unreadable, decided_by, baseline, equivalent, chosen, standings, stopping
    )


def study_metrics(views: Views, study: str) -> tuple[list[Metric], tuple[str, ...]]:
    """Return the metrics of a study, and the names of those that are not installed here."""
    metrics, unreadable = [], []
    for row in views.query("study_metric_versions", study=study):
        try:
            metrics.append(build_metric(row["metric"]))
        except InputError:
            unreadable.append(row["metric"])
    return metrics, tuple(unreadable)


def _deciding(infos: Sequence[MetricInfo], wanted: str | None) -> str | None:
    """Return the metric of the win rates: the one wanted, or the study's first per image."""
    able = [info.name for info in infos if info.kind == "image"]
    if wanted is not None and wanted not in able:
        raise unknown("metric", wanted, able)
    return wanted or next(iter(able), None)


def _open(stopping: Stopping, compared: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the entries that are undecided and were not asked for all prompts yet."""
    return tuple(
        one.entry
        for one in compared
        if stopping.asked[one.entry] < stopping.prompts
        and (one.decision is None or one.decision.verdict == "undecided")
    )


def _means(
    views: Views,
    study: str,
    infos: Sequence[MetricInfo],
    decided_by: str | None,
    order: Sequence[str],
) -> tuple[dict[str, dict[str, Estimate]], dict[str, dict[str, Estimate]]]:
    """Return means by metric and entry, and those of the deciding metric by entry and task."""
    scores: dict[str, dict[str, Estimate]] = {info.name: {} for info in infos}
    tasks: dict[str, dict[str, Estimate]] = {}
    for row in views.query("scores_by_entry", study=study):
        if row["metric"] not in scores:
            continue
        if mean := row_mean(row):
            scores[row["metric"]][row["entry"]] = mean
        if row["metric"] == decided_by:
            tasks[row["entry"]] = _task_means(row, order)
    return scores, tasks


def _task_order(entries: Sequence[Row]) -> list[str]:
    """Return the tasks of the entries' benchmarks in the benchmarks' own order."""
    names = dict.fromkeys(row["benchmark"] for row in entries)
    return [task for name in names for task in known_tasks(name)]


def _task_means(row: Row, order: Sequence[str]) -> dict[str, Estimate]:
    """Return an entry's mean by task: those in `order` first, then others by their names."""
    found = {}
    present = set(row["tasks"])
    for task in [*(task for task in order if task in present), *sorted(present - set(order))]:
        if mean := row_mean(row, task):
            found[task] = mean
    return found


def row_mean(row: Row, task: str | None = None) -> Estimate | None:
    """Return the mean of a row of `scores_by_entry`, over all its prompts or those of a task."""
    chosen = np.array([task is None or one == task for one in row["tasks"]])
    by_prompt = PromptMeans(np.array(row["means"])[chosen], np.array(row["samples"])[chosen])
    return estimate_of_means(by_prompt, binary=bool(np.array(row["binary"])[chosen].all()))


def _distances(views: Views, study: str, metric: SetMetric) -> dict[str, Estimate]:
    """Return each entry's set value; entries with too few pictures have none."""
    name = metric.info.name
    rows = views.query("reference_features", study=study, metric=name)
    reference = np.array([row["vector"] for row in rows], dtype=np.float64)
    features: dict[str, list[Row]] = {}
    for row in views.query("features", study=study, metric=name):
        features.setdefault(row["entry"], []).append(row)
    return {
        entry: metric.estimate(
            [row["prompt_id"] for row in own],
            np.array([row["vector"] for row in own], dtype=np.float64),
            reference,
        )
        for entry, own in features.items()
        if min(len(own), len(reference)) >= 2
    }


def _standing(
    row: Row,
    baseline: str | None,
    scores: Mapping[str, Mapping[str, Estimate]],
    tasks: Mapping[str, Mapping[str, Estimate]],
    compared: Mapping[str, Comparison],
) -> Standing:
    entry = row["entry"]
    return Standing(
        entry=entry,
        model=row["model"],
        weights_hash=row["weights_hash"],
        dtype=row["dtype"],
        compiled=row["compiled"],
        recipe=row["recipe"],
        is_baseline=entry == baseline,
        is_control=baseline is not None and row["control_of"] == baseline,
        is_chosen=False,
        samples=row["samples"],
        prompts=row["prompts"],
        scores={name: found[entry] for name, found in scores.items() if entry in found},
        tasks=tasks.get(entry, {}),
        comparison=compared.get(entry),
        seconds_per_image=row["seconds_per_image"],
        is_typical=row["typical_batches"] > 0,
        batch_size=row["batch_size"],
        device=row["device"],
        row_evaluations=row["row_evaluations"],
        peak_memory_bytes=row["peak_memory_bytes"],
    )
