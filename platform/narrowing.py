"""A leaderboard by another metric, or on the prompts of one task alone."""

from dataclasses import replace

from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.comparisons import comparisons
from bakeoff.platform.leaderboard import Leaderboard, row_mean
from bakeoff.platform.views import Views


def narrowed(
    views: Views, board: Leaderboard, metric: str | None, task: str | None = None
) -> Leaderboard:
    """Return a leaderboard whose verdicts are on a metric of single pictures, None: as they are.

    With a task its scores, too, are those on the prompts of that task; metrics of whole sets have
    none then. Entries, counts of images and costs stay those of the study.
    """
    metric = metric or board.decided_by
    if task is None and metric == board.decided_by:
        return board
    scores = None if task is None else _scores(views, board, task)
    found = {}
    if metric is not None and board.baseline is not None:
        compared = comparisons(
            views,
            board.study,
            metric,
            opponent=board.baseline,
            equivalent=board.equivalent,
            task=task,
        )
        found = {one.entry: one for one in compared}
    standings = tuple(
        replace(
            one,
            comparison=found.get(one.entry),
            scores=one.scores if scores is None else scores.get(one.entry, {}),
        )
        for one in board.standings
    )
    return replace(board, decided_by=metric, standings=standings)


def _scores(views: Views, board: Leaderboard, task: str) -> dict[str, dict[str, Estimate]]:
    """Return every entry's means on the prompts of a task, by metric."""
    known = {info.name for info in board.metrics}
    found: dict[str, dict[str, Estimate]] = {}
    for row in views.query("scores_by_entry", study=board.study):
        if row["metric"] in known and (mean := row_mean(row, task)):
            found.setdefault(row["entry"], {})[row["metric"]] = mean
    return found
