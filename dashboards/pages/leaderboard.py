"""Every entry of a study with its scores, intervals and cost."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import streamlit as st

from bakeoff.dashboards.charts import interval_chart
from bakeoff.dashboards.colors import model_colors
from bakeoff.dashboards.look import (
    has_pictures,
    heading,
    in_one_line,
    metric_chooser,
    metric_title,
    notes,
    table,
)
from bakeoff.platform.equal_terms import Group, Terms, group_entries
from bakeoff.platform.leaderboard import Leaderboard
from bakeoff.platform.leaderboard_table import group_notes, notes_of, number, percent
from bakeoff.platform.views import Views

TERMS: dict[str, Terms | None] = {
    "any cost": None,
    "equal steps": "steps",
    "equal compute": "compute",
}


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw the leaderboard of a study, and one metric with its intervals."""
    heading("Leaderboard", board)
    if not has_pictures(board):
        return
    terms = TERMS[st.selectbox("Compare at", list(TERMS), key="at", bind="query-params", width=320)]
    if terms:
        groups = _groups(views, key, board, board.study, terms)
        _tables_of_groups(board, groups)
        said = list(group_notes(board, groups, terms))
    else:
        table(_rows(board))
        said = list(notes_of(board))
    infos = [info for info in board.metrics if any(info.name in s.scores for s in board.standings)]
    if infos:
        info = metric_chooser("Metric drawn", infos, key="drawn")
        colors = model_colors(standing.model for standing in board.standings)
        st.altair_chart(interval_chart(board.standings, info, colors), width="stretch")
    notes(said)


@st.cache_resource(max_entries=16, show_spinner="Comparing entries …")
def _groups(_views: Views, key: str, _board: Leaderboard, study: str, terms: Terms) -> list[Group]:
    return group_entries(_views, _board, terms)


def _tables_of_groups(board: Leaderboard, groups: Sequence[Group]) -> None:
    """Draw a table for each group, and one for the entries that are alone in theirs."""
    for group in groups:
        if group.baseline:
            st.html(f"<h4>{escape(group.terms)}: wins against {escape(group.baseline)}</h4>")
            table(_rows(replace(board, baseline=group.baseline, standings=group.standings)))
    lone = [(group.terms, group.standings[0]) for group in groups if not group.baseline]
    if lone:
        st.html("<h4>Alone in their group: nothing to compare with</h4>")
        rows = _rows(replace(board, baseline=None, standings=tuple(one for _, one in lone)))
        table([{"group": own} | row for (own, _), row in zip(lone, rows, strict=True)])


def _rows(board: Leaderboard) -> list[dict[str, Any]]:
    """Return the leaderboard as rows of texts and numbers."""
    rows = []
    for standing in board.standings:
        role = "baseline" if standing.is_baseline else "A/A control" if standing.is_control else ""
        row: dict[str, Any] = {"entry": standing.entry, "role": role}
        row |= {"images": standing.samples, "prompts": standing.prompts}
        for info in board.metrics:
            row[metric_title(info)] = in_one_line(number(info, standing.scores.get(info.name)))
        if board.baseline:
            estimate = standing.wins.estimate if standing.wins else None
            row["wins against baseline %"] = in_one_line(percent(estimate)) if estimate else "–"
        row["s/image"] = standing.seconds_per_image
        row["row evaluations"] = standing.row_evaluations
        memory = standing.peak_memory_bytes
        row["memory MB"] = None if memory is None else memory / 1e6
        rows.append(row)
    return rows
