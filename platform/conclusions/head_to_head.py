"""Two entries of a store, or one study in two stores, with all that tells them apart."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bakeoff.platform.conclusions.comparisons import Comparison, compared, meetings
from bakeoff.platform.conclusions.leaderboard import (
    Leaderboard,
    Standing,
    choose_study,
    leaderboard,
)
from bakeoff.platform.conclusions.two_stores import meetings_between, shared_entries, shared_metrics
from bakeoff.platform.queries.views import Views
from bakeoff.samplers.errors import InputError, unknown


@dataclass(frozen=True)
class HeadToHead:
    """Comparisons by metric, of one entry also by task; each of both lists is one family."""

    study: str
    sides: tuple[str, str]  # whom the wins are of, and whom they are against
    equivalent: float | None
    comparisons: tuple[Comparison, ...]
    decided_by: str | None  # the metric of the tasks
    tasks: dict[str, Comparison]
    costs: tuple[tuple[str, Standing], ...]
    level: float | None = None  # of error, of a study that was run until decided

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return asdict(self)


def entries_head_to_head(
    views: Views,
    entry: str,
    opponent: str,
    *,
    study: str | None = None,
    metric: str | None = None,
    equivalent: float | None = None,
) -> HeadToHead:
    """Return one entry of a study against another on each metric, or on the one named.

    Raises:
        InputError: the study, an entry or the metric is unknown, or both entries are the same.
    """
    board = leaderboard(views, study, metric, equivalent)
    standings = {standing.entry: standing for standing in board.standings}
    for name in (entry, opponent):
        if name not in standings:
            raise unknown("entry", name, standings)
    if entry == opponent:
        raise InputError(f"{entry} cannot be compared with itself: name another entry")
    names = [metric] if metric else [info.name for info in board.metrics if info.kind == "image"]
    met = [
        one
        for name in names
        for one in meetings(views, board.study, name, entry=entry, opponent=opponent)
    ]
    return HeadToHead(
        study=board.study,
        sides=(entry, opponent),
        equivalent=board.equivalent,
        comparisons=tuple(compared(met, equivalent)),
        decided_by=board.decided_by,
        tasks=_by_task(views, board, entry, opponent),
        costs=tuple((name, standings[name]) for name in (entry, opponent)),
        level=board.stopping.rule.level if board.stopping else None,
    )


def _by_task(views: Views, board: Leaderboard, entry: str, opponent: str) -> dict[str, Comparison]:
    """Return the comparison of each task on the deciding metric, corrected for all tasks."""
    names = dict.fromkeys(task for standing in board.standings for task in standing.tasks)
    if board.decided_by is None or len(names) < 2:
        return {}
    met = {
        task: one
        for task in names
        for one in meetings(
            views, board.study, board.decided_by, entry=entry, opponent=opponent, task=task
        )
    }
    return dict(zip(met, compared(list(met.values()), board.equivalent), strict=True))


def stores_head_to_head(
    views: Views,
    others: Views,
    *,
    study: str | None = None,
    metric: str | None = None,
    equivalent: float | None = None,
) -> HeadToHead:
    """Return each entry of a study in one store against that of the same name in another.

    Raises:
        InputError: a store lacks the study, they share no entry or metric, or it is unknown.
    """
    study = choose_study(views, study)
    boards = [leaderboard(one, study, equivalent=equivalent) for one in (views, others)]
    names = shared_metrics(views, others, study)
    if metric is not None and metric not in names:
        raise unknown("metric", metric, names)
    met = [
        one
        for name in ([metric] if metric else names)
        for one in meetings_between(views, others, study, name)
    ]
    return HeadToHead(
        study=study,
        sides=("the first store", "the second"),
        equivalent=equivalent,
        comparisons=tuple(compared(met, equivalent)),
        decided_by=None,
        tasks={},
        costs=tuple(_costs(boards, shared_entries(views, others, study))),
    )


def _costs(boards: Sequence[Leaderboard], entries: Sequence[str]) -> list[tuple[str, Standing]]:
    found = [{one.entry: one for one in board.standings} for board in boards]
    return [
        (f"{entry}, {place} store", standings[entry])
        for entry in entries
        for place, standings in zip(("first", "second"), found, strict=True)
    ]
