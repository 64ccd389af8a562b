"""Every entry of a study with its scores, intervals, verdict and cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import streamlit as st

from bakeoff.dashboards.charts import interval_chart, unit_of
from bakeoff.dashboards.colors import looks_of, model_colors
from bakeoff.dashboards.legend import models_legend
from bakeoff.dashboards.look import (
    empty,
    has_pictures,
    heading,
    in_one_line,
    metric_title,
    notes,
    table,
    task_chooser,
)
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.conclusions.equal_terms import Group, Terms, group_entries
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.conclusions.narrowing import narrowed
from bakeoff.platform.export.flat_tables import as_csv, leaderboard_rows
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.tables.leaderboard_table import (
    group_notes,
    notes_of,
    number,
    percent,
    verdict,
)

TERMS: dict[str, Terms | None] = {
    "any cost": None,
    "equal steps": "steps",
    "equal compute": "compute",
}


@dataclass(frozen=True)
class Choice:
    """What people look at; `info` is None in a study without a metric."""

    info: MetricInfo | None
    task: str | None
    terms: Terms | None

    @property
    def decides(self) -> str | None:
        """The metric, if it judges single pictures and can therefore decide who wins."""
        return self.info.name if self.info and self.info.kind == "image" else None


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw the leaderboard of a study by one metric, on one task or all, at equal cost or any."""
    heading("Leaderboard", board)
    if not has_pictures(board):
        return
    choice = _choice(views, key, board)
    shown = _narrowed(views, key, board, board.study, choice.decides, choice.task)
    if choice.terms:
        groups = _groups(views, key, shown, board.study, choice)
        _tables_of_groups(shown, groups)
        rows = _rows_of_groups(shown, groups)
        said = list(group_notes(shown, groups, choice.terms))
    else:
        table(_rows(shown))
        rows = leaderboard_rows(shown)
        said = list(notes_of(shown))
    _below(shown, choice, rows)
    _draw(shown, choice)
    notes(said)


def _choice(views: Views, key: str, board: Leaderboard) -> Choice:
    infos = {info.name: info for info in board.metrics}
    info = None
    with st.container(horizontal=True):
        if infos:
            first = board.decided_by or next(iter(infos))
            chosen = st.segmented_control(
                "Metric",
                list(infos),
                default=first,
                required=True,
                key="metric",
                bind="query-params",
            )
            info = infos[chosen]
        terms = st.segmented_control(
            "Compare at",
            list(TERMS),
            default=next(iter(TERMS)),
            required=True,
            key="at",
            bind="query-params",
        )
        task = task_chooser(_tasks(views, key, board.study))
    return Choice(info, task, TERMS[terms])


@st.cache_resource(max_entries=16, show_spinner=False)
def _tasks(_views: Views, key: str, study: str) -> list[str]:
    return _views.query("seeds_and_tasks", study=study)[0]["tasks"]


@st.cache_resource(max_entries=32, show_spinner="Comparing entries …")
def _narrowed(
    _views: Views, key: str, _board: Leaderboard, study: str, metric: str | None, task: str | None
) -> Leaderboard:
    return narrowed(_views, _board, metric, task)


@st.cache_resource(max_entries=16, show_spinner="Comparing entries …")
def _groups(
    _views: Views, key: str, _board: Leaderboard, study: str, choice: Choice
) -> list[Group]:
    return group_entries(_views, _board, choice.terms, choice.task) if choice.terms else []


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
        row: dict[str, Any] = {"entry": standing.entry, "role": _role(standing)}
        row |= {"images": standing.samples, "prompts": standing.prompts}
        for info in board.metrics:
            row[metric_title(info)] = in_one_line(number(info, standing.scores.get(info.name)))
        if board.baseline and board.decided_by:
            estimate = standing.wins.estimate if standing.wins else None
            wins = in_one_line(percent(estimate)) if estimate else "–"
            row["wins %"] = wins
            row["verdict"] = in_one_line(verdict(standing.comparison))
        row["s/image"] = standing.seconds_per_image
        row["row evals"] = standing.row_evaluations
        memory = standing.peak_memory_bytes
        row["MB"] = None if memory is None else memory / 1e6
        rows.append(row)
    return rows


def _role(standing: Standing) -> str:
    if standing.is_baseline:
        return "baseline"
    if standing.is_control:
        return "control"
    return "chosen" if standing.is_chosen else ""


def _rows_of_groups(board: Leaderboard, groups: Sequence[Group]) -> list[Row]:
    """Return the rows of the CSV, with the group of each entry and whom it is compared with."""
    found = []
    for group in groups:
        own = replace(board, standings=group.standings)
        told = {"group": group.terms, "compared_with": group.baseline}
        found += [told | row for row in leaderboard_rows(own)]
    return found


def _below(board: Leaderboard, choice: Choice, rows: list[Row]) -> None:
    """Offer the table as CSV, and say what the choice could not change."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if choice.task:
            rows = [{"task": choice.task} | row for row in rows]
        st.download_button("CSV", lambda: as_csv(rows), "leaderboard.csv", "text/csv")
        if choice.info and not choice.decides and board.decided_by:
            st.text(
                f"{choice.info.name} judges whole sets of pictures: wins and verdicts are those on "
                f"{board.decided_by}."
            )


def _draw(board: Leaderboard, choice: Choice) -> None:
    """Draw the metric that was chosen with its intervals."""
    info = choice.info
    if info is None:
        return
    found = {one.entry: one.scores[info.name] for one in board.standings if info.name in one.scores}
    if not found:
        whole = " of single tasks" if choice.task and info.kind == "set" else " yet"
        empty(f"There are no values of this metric{whole}.")
        return
    models_legend(model_colors(standing.model for standing in board.standings))
    title = f"{unit_of(info)}, 95 % intervals"
    chart = interval_chart(found, looks_of(board), title, within=info.range)
    st.altair_chart(chart, width="stretch")
