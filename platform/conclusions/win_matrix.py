"""Win rates as a matrix: every entry against every other, or against one by task or by metric.

All cells of a matrix stand side by side, and are therefore one family: their verdicts are corrected
for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.platform.conclusions.comparisons import (
    Judgement,
    Meeting,
    judged,
    judgements,
    meetings,
)
from bakeoff.platform.queries.views import Views


@dataclass(frozen=True)
class Cell:
    """How an entry fares, and the column it stands in: an opponent, a task or a metric."""

    column: str
    judgement: Judgement


def by_opponent(views: Views, study: str, metric: str, task: str | None = None) -> list[Cell]:
    """Return every ordered pair of entries on a metric, on all prompts or those of a task."""
    return [Cell(one.opponent, one) for one in judgements(views, study, metric, task=task)]


def by_task(
    views: Views, study: str, metric: str, opponent: str, tasks: Sequence[str]
) -> list[Cell]:
    """Return every entry against one opponent on the prompts of each task."""
    return _cells(
        [
            (task, met)
            for task in tasks
            for met in meetings(views, study, metric, opponent=opponent, task=task)
        ]
    )


def by_metric(views: Views, study: str, metrics: Sequence[str], opponent: str) -> list[Cell]:
    """Return every entry against one opponent on each metric."""
    return _cells(
        [
            (metric, met)
            for metric in metrics
            for met in meetings(views, study, metric, opponent=opponent)
        ]
    )


def _cells(met: Sequence[tuple[str, Meeting]]) -> list[Cell]:
    found = judged([one for _, one in met])
    return [Cell(column, one) for (column, _), one in zip(met, found, strict=True)]
