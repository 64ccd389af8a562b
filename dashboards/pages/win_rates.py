"""How often each entry beats others on the same prompt and seed."""

import streamlit as st

from bakeoff.dashboards.charts import VERDICT_MARKS, win_cells, win_heat_map
from bakeoff.dashboards.look import (
    empty,
    folded_table,
    has_pictures,
    heading,
    metric_chooser,
    task_chooser,
    wide,
)
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.conclusions.win_matrix import by_metric, by_opponent, by_task
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.tables.verdict_notes import confidence, correction

OPPONENTS, TASKS, METRICS = "all pairs", "by task", "by metric"
CELL_WIDTH, NAMES_WIDTH = 44, 340  # pixels: a column's least, and what names beside them take


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw the matrix of win rates that people ask for."""
    heading("Win rates", board)
    if not has_pictures(board):
        return
    infos = [info for info in board.metrics if info.kind == "image"]
    if not infos:
        empty("No metric of this study judges single pictures. Add `composition`, for one.")
        return
    found, against = _matrix(views, key, board, infos)
    if not found:
        empty("No two entries have a score on the same prompt and seed position yet.")
        return
    order = [standing.entry for standing in board.standings]
    columns = order if against == "" else list(dict.fromkeys(cell["column"] for cell in found))
    with wide("matrix", NAMES_WIDTH + CELL_WIDTH * len(columns)):
        st.altair_chart(win_heat_map(found, order, columns), width="stretch")
    st.caption(_reading(board, found, against))
    folded_table(
        "The numbers",
        "numbers",
        lambda: [_line(cell, against) for cell in found],
    )


def _matrix(
    views: Views, key: str, board: Leaderboard, infos: list[MetricInfo]
) -> tuple[list[Row], str]:
    """Return the cells asked for by the widgets, and whom all of them are against, if one."""
    names = [info.name for info in infos]
    tasks = _tasks(views, key, board.study)
    columns = [OPPONENTS, *([TASKS] if len(tasks) > 1 else []), METRICS]
    with st.container(horizontal=True):
        shown = st.selectbox("Columns", columns, key="columns", bind="query-params", width=160)
        if shown != METRICS:
            metric = metric_chooser("Metric that decides", infos).name
        if shown == OPPONENTS:
            return _pairs(views, key, board.study, metric, task_chooser(tasks)), ""
        entries = [standing.entry for standing in board.standings]
        first = entries.index(board.baseline) if board.baseline in entries else 0
        against = st.selectbox(
            "Against", entries, index=first, key="against", bind="query-params", width=320
        )
    if shown == TASKS:
        return _by_task(views, key, board.study, metric, against, tuple(tasks)), against
    return _by_metric(views, key, board.study, tuple(names), against), against


@st.cache_resource(max_entries=16, show_spinner=False)
def _tasks(_views: Views, key: str, study: str) -> list[str]:
    return _views.query("seeds_and_tasks", study=study)[0]["tasks"]


@st.cache_resource(max_entries=32, show_spinner="Comparing entries …")
def _pairs(_views: Views, key: str, study: str, metric: str, task: str | None) -> list[Row]:
    return win_cells(by_opponent(_views, study, metric, task))


@st.cache_resource(max_entries=32, show_spinner="Comparing entries …")
def _by_task(
    _views: Views, key: str, study: str, metric: str, opponent: str, tasks: tuple[str, ...]
) -> list[Row]:
    return win_cells(by_task(_views, study, metric, opponent, tasks))


@st.cache_resource(max_entries=32, show_spinner="Comparing entries …")
def _by_metric(
    _views: Views, key: str, study: str, metrics: tuple[str, ...], opponent: str
) -> list[Row]:
    return win_cells(by_metric(_views, study, metrics, opponent))


def _line(cell: Row, against: str) -> Row:
    told = ("interval", "prompts", "verdict", "p, corrected", "further prompts")
    row = {"entry": cell["entry"], "against": against or cell["column"]}
    if against:
        row["on"] = cell["column"]
    row["wins %"] = cell["percent"]
    return row | {name: cell[name] for name in (*told, "wins, ties, losses", "left out")}


def _reading(board: Leaderboard, found: list[Row], against: str) -> str:
    """Return how to read the matrix; no name of the store's, for captions are markdown."""
    who = "the entry chosen" if against else "the column"
    pairs = {frozenset((one["entry"], one["column"])) for one in found}
    marks = ", ".join(f"{mark} {verdict}" for verdict, mark in VERDICT_MARKS.items() if mark)
    return (
        f"Percent of pairs of same prompt and seed position in which the row beats {who}, a tie "
        f"counting half; n is the number of prompts. {marks}, {correction(board)}, for the "
        f"{len(pairs)} comparisons shown; undecided without a mark. Point at a cell for its "
        f"{confidence(board)} interval; the same stands in the numbers below."
    )
