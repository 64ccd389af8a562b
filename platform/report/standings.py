"""Who wins in a report: standings, intervals, win rates, groups of equal cost."""

from collections.abc import Iterator, Sequence

from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import judgements
from bakeoff.platform.conclusions.equal_terms import UNITS, Terms, group_entries
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.queries.views import Views
from bakeoff.platform.report.matrix import win_matrix
from bakeoff.platform.report.section import Drawing, Section
from bakeoff.platform.report.strips import Look, interval_strips, looks_of
from bakeoff.platform.tables.folding_table import Column, FoldingTable, Line
from bakeoff.platform.tables.leaderboard_table import (
    NOTHING,
    SHARE,
    group_notes,
    group_tables,
    notes_of,
    number,
    percent,
    table_of,
    task_table,
    verdict,
)
from bakeoff.platform.tables.verdict_notes import confidence, correction


def standings_section(board: Leaderboard) -> Section:
    """Return the leaderboard, in all and by task, with its notes."""
    tables = [table_of(board)]
    if any(standing.tasks for standing in board.standings):
        tables.append(task_table(board))
    return Section("Leaderboard", drawings=[*map(Drawing, tables)], notes=[*notes_of(board)])


def scores_section(board: Leaderboard) -> Section | None:
    """Return each metric's values on their intervals."""
    drawings = []
    for info in board.metrics:
        scored = [standing for standing in board.standings if info.name in standing.scores]
        if scored:
            drawings.append(_scores(board, info, scored))
    return Section("Scores with their intervals", drawings=drawings) if drawings else None


def _scores(board: Leaderboard, info: MetricInfo, scored: Sequence[Standing]) -> Drawing:
    found = [standing.scores[info.name] for standing in scored]
    unit = "%" if info.range == SHARE else info.unit
    better = "higher" if info.higher_is_better else "lower"
    columns = [
        Column("n", [(str(one.prompts), "") for one in found]),
        Column(info.name, [(number(info, one)[0], "") for one in found]),
        Column("95 %", [(number(info, one)[1], "") for one in found]),
    ]
    title = f"{info.name} ({unit}, {better} is better); n counts prompts"
    table = FoldingTable(title, [Line(standing.entry) for standing in scored], columns)
    scale = 100.0 if info.range == SHARE else 1.0
    return Drawing(table, interval_strips(found, _looks(board, scored), scale=scale))


def wins_section(views: Views, board: Leaderboard) -> Section | None:
    """Return win rates against the baseline, and of each two entries; None without a pair."""
    if board.decided_by is None:
        return None
    found = judgements(views, board.study, board.decided_by)
    matrix = win_matrix(board, found)
    if matrix is None:
        return None
    drawings = [*_wins(board)]
    return Section("Win rates", drawings=drawings, matrix=matrix)


def _wins(board: Leaderboard) -> Iterator[Drawing]:
    """Yield the table of wins against the baseline, if anybody met it."""
    judged = [s for s in board.standings if s.comparison and s.comparison.wins.estimate]
    if not judged:
        return
    found = [s.comparison for s in judged if s.comparison]
    estimates = [one.wins.estimate for one in found]
    decisions = [one.decision for one in found]
    columns = [
        Column("n", [(str(one.prompts) if one else "", "") for one in estimates]),
        Column("wins %", [_cell(one, 0) for one in estimates]),
        Column(confidence(board), [_cell(one, 1) for one in estimates]),
        Column("ties", [(str(one.wins.ties), "") for one in found]),
        Column("verdict", [verdict(one) for one in found]),
        Column("p", [(f"{one.p_value:.2g}" if one else NOTHING, "") for one in decisions]),
    ]
    title = (
        f"Wins against {board.baseline} on {board.decided_by}; p and verdict {correction(board)}"
    )
    table = FoldingTable(title, [Line(standing.entry) for standing in judged], columns)
    strips = interval_strips(estimates, _looks(board, judged), scale=100, null=0.5)
    yield Drawing(table, strips)


def _cell(estimate: Estimate | None, part: int) -> tuple[str, str]:
    return (percent(estimate)[part] if estimate else NOTHING), ""


def equal_terms_section(views: Views, board: Leaderboard, terms: Terms) -> Section | None:
    """Return entries ranked among those of equal steps or compute; None where each is alone."""
    groups = group_entries(views, board, terms)
    if not any(group.baseline for group in groups):
        return None
    drawings = [*map(Drawing, group_tables(board, groups, terms))]
    (how, *_) = group_notes(board, groups, terms)
    return Section(f"At equal {UNITS[terms]}", [how], drawings)


def _looks(board: Leaderboard, standings: Sequence[Standing]) -> list[Look]:
    looks = looks_of(board)
    return [looks[standing.entry] for standing in standings]
