"""A leaderboard by another metric, or on the prompts of one task alone."""

from collections.abc import Sequence
from dataclasses import replace

from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import Comparison, comparisons
from bakeoff.platform.conclusions.confirmation import Confirmation, confirmation
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing, row_mean
from bakeoff.platform.queries.views import Views


def narrowed(
    views: Views, board: Leaderboard, metric: str | None, task: str | None = None
) -> Leaderboard:
    """Return a leaderboard whose verdicts are on a metric of single pictures, None: as they are.

    With a task its counts and scores, too, are those on the prompts of that task, metrics of whole
    sets have none, and no entry is chosen. Costs stay those of the study; means by task are left
    out.
    """
    metric = metric or board.decided_by
    if task is None and metric == board.decided_by:
        return board
    standings = board.standings if task is None else _of_task(views, board, task)
    found = _compared(views, board, metric, task)
    chosen = None if task else _chosen(views, board, metric, found)
    by_entry = {one.entry: one for one in found}
    judged = tuple(
        replace(
            one,
            tasks={},
            comparison=by_entry.get(one.entry),
            is_chosen=chosen is not None and one.entry == chosen.entry,
        )
        for one in standings
    )
    return replace(board, decided_by=metric, confirmation=chosen, standings=judged)


def _compared(
    views: Views, board: Leaderboard, metric: str | None, task: str | None
) -> list[Comparison]:
    if metric is None or board.baseline is None:
        return []
    return comparisons(
        views,
        board.study,
        metric,
        opponent=board.baseline,
        equivalent=board.equivalent,
        task=task,
    )


def _chosen(
    views: Views, board: Leaderboard, metric: str | None, found: Sequence[Comparison]
) -> Confirmation | None:
    if metric is None or board.baseline is None:
        return None
    able = [one.entry for one in board.standings if not one.is_control]
    return confirmation(views, board.study, metric, board.baseline, able, found, board.equivalent)


def _of_task(views: Views, board: Leaderboard, task: str) -> tuple[Standing, ...]:
    """Return every entry with its counts and means on the prompts of a task."""
    known = {info.name for info in board.metrics}
    scores: dict[str, dict[str, Estimate]] = {}
    for row in views.query("scores_by_entry", study=board.study):
        if row["metric"] in known and (mean := row_mean(row, task)):
            scores.setdefault(row["entry"], {})[row["metric"]] = mean
    sizes = {row["entry"]: row for row in views.query("task_sizes", study=board.study, task=task)}
    return tuple(
        replace(
            one,
            samples=sizes[one.entry]["samples"] if one.entry in sizes else 0,
            prompts=sizes[one.entry]["prompts"] if one.entry in sizes else 0,
            scores=scores.get(one.entry, {}),
        )
        for one in board.standings
    )
