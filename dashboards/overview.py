"""The first page: leaderboard, win rates, and the pictures behind them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import streamlit as st
from PIL import Image

from bakeoff.dashboards.charts import interval_chart, win_heat_map
from bakeoff.dashboards.colors import model_colors
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.comparisons import Comparison, comparisons
from bakeoff.platform.equal_terms import Group, Terms, group_entries
from bakeoff.platform.leaderboard import Leaderboard, leaderboard
from bakeoff.platform.leaderboard_table import Shown, group_notes, notes_of, number, percent
from bakeoff.platform.pictures import readable_picture
from bakeoff.platform.views import Row, Views

PROMPTS_PER_PAGE = 4
ENTRIES_AT_FIRST = 6
LONGEST_PROMPT = 400  # characters shown; a store may hold prompts of any length
MAX_EDGE = 512  # pixels a side sent to the browser
TERMS: dict[str, Terms | None] = {
    "any cost": None,
    "equal steps": "steps",
    "equal compute": "compute",
}


def overview(views: Views, key: str, studies: Sequence[str]) -> None:
    """Draw the page; `key` stands for the state of the store, for what is kept between visits."""
    st.title("Bakeoff")
    study = studies[0]
    if len(studies) > 1:
        study = st.selectbox("Study", studies, key="study", bind="query-params")
    board = _board(views, key, study)
    st.text(f"Study {study}: {len(board.standings)} entries")
    if not any(standing.samples for standing in board.standings):
        st.info("This study has no pictures yet. They appear here while `bakeoff run` makes them.")
        return
    _leaderboard(views, key, board)
    metrics = [info for info in board.metrics if info.kind == "image"]
    if metrics:
        _win_rates(views, key, board, metrics)
    _pictures(views, board)


@st.cache_resource(max_entries=8, show_spinner="Reading the store …")
def _board(_views: Views, key: str, study: str) -> Leaderboard:
    return leaderboard(_views, study)


@st.cache_resource(max_entries=16, show_spinner="Comparing entries …")
def _groups(_views: Views, key: str, study: str, terms: Terms) -> list[Group]:
    return group_entries(_views, _board(_views, key, study), terms)


@st.cache_resource(max_entries=32, show_spinner="Comparing entries …")
def _matches(_views: Views, key: str, study: str, metric: str) -> list[Comparison]:
    return comparisons(_views, study, metric)


def _leaderboard(views: Views, key: str, board: Leaderboard) -> None:
    st.header("Leaderboard", anchor="leaderboard")
    terms = TERMS[st.selectbox("Compare at", list(TERMS), key="at", bind="query-params")]
    if terms:
        groups = _groups(views, key, board.study, terms)
        _tables_of_groups(board, groups)
        notes = list(group_notes(board, groups, terms))
    else:
        _show(_table(board))
        notes = list(notes_of(board))
    names = [info.name for info in board.metrics]
    names = [name for name in names if any(name in s.scores for s in board.standings)]
    if names:
        name = st.selectbox("Metric drawn", names, key="drawn", bind="query-params")
        info = next(info for info in board.metrics if info.name == name)
        colors = model_colors(standing.model for standing in board.standings)
        st.altair_chart(interval_chart(board.standings, info, colors), width="stretch")
    with st.expander("How to read these numbers"):
        for note in notes:
            st.html(f"<p>{escape(note)}</p>")


def _tables_of_groups(board: Leaderboard, groups: Sequence[Group]) -> None:
    """Draw a table for each group, and one for the entries that are alone in theirs."""
    for group in groups:
        if group.baseline:
            st.html(f"<h4>{escape(group.terms)}: wins against {escape(group.baseline)}</h4>")
            _show(_table(replace(board, baseline=group.baseline, standings=group.standings)))
    lone = [(group.terms, group.standings[0]) for group in groups if not group.baseline]
    if lone:
        st.html("<h4>Alone in their group: nothing to compare with</h4>")
        rows = _table(replace(board, baseline=None, standings=tuple(one for _, one in lone)))
        _show([{"group": own} | row for (own, _), row in zip(lone, rows, strict=True)])


def _show(rows: list[dict[str, Any]]) -> None:
    st.dataframe(rows, hide_index=True, width="stretch", height="content", placeholder="–")


def _table(board: Leaderboard) -> list[dict[str, Any]]:
    """Return the leaderboard as rows of texts and numbers."""
    rows = []
    for standing in board.standings:
        role = "baseline" if standing.is_baseline else "A/A control" if standing.is_control else ""
        row: dict[str, Any] = {"entry": standing.entry, "role": role}
        row |= {"images": standing.samples, "prompts": standing.prompts}
        for info in board.metrics:
            row[_heading(info)] = _in_one_line(number(info, standing.scores.get(info.name)))
        if board.baseline:
            estimate = standing.wins.estimate if standing.wins else None
            row["wins against baseline %"] = _in_one_line(percent(estimate)) if estimate else "–"
        row["s/image"] = standing.seconds_per_image
        row["row evaluations"] = standing.row_evaluations
        memory = standing.peak_memory_bytes
        row["memory MB"] = None if memory is None else memory / 1e6
        rows.append(row)
    return rows


def _in_one_line(shown: Shown) -> str:
    value, interval = shown
    return f"{value} ({interval})" if interval else value


def _heading(info: MetricInfo) -> str:
    arrow = "↑" if info.higher_is_better else "↓"
    return f"{info.name} {'% ' if info.range == (0.0, 1.0) else ''}{arrow}"


def _win_rates(views: Views, key: str, board: Leaderboard, metrics: list[MetricInfo]) -> None:
    st.header("Win rates", anchor="win-rates")
    names = [info.name for info in metrics]
    metric = st.selectbox("Metric that decides", names, key="metric", bind="query-params")
    found = [m for m in _matches(views, key, board.study, metric) if m.wins.estimate]
    if not found:
        st.info("No two entries have a score on the same prompt and seed position yet.")
        return
    order = [standing.entry for standing in board.standings]
    st.altair_chart(win_heat_map(found, order), width="stretch")
    st.caption(
        "Percent of pairs of same prompt and seed position in which the row beats the column, a "
        "tie counting half; n is the number of prompts. Point at a cell for its 95 % interval."
    )


def _pictures(views: Views, board: Leaderboard) -> None:
    st.header("Pictures", anchor="pictures")
    prompts = views.query("study_prompts", study=board.study)
    names = [standing.entry for standing in board.standings]
    chosen = st.multiselect(
        "Entries",
        names,
        default=names[:ENTRIES_AT_FIRST],
        key="entries",
        bind="query-params",
    )
    pages = math.ceil(len(prompts) / PROMPTS_PER_PAGE)
    page = st.number_input(
        f"Page of {pages}", min_value=1, max_value=pages, key="page", bind="query-params"
    )
    if not chosen:
        st.info("Choose at least one entry.")
        return
    shown = prompts[PROMPTS_PER_PAGE * (page - 1) : PROMPTS_PER_PAGE * page]
    ids = [row["prompt_id"] for row in shown]
    pictures = {
        (row["entry"], row["prompt_id"]): row["png"]
        for row in views.query("pictures", study=board.study, prompt_ids=ids)
    }
    scores = views.query("sample_scores", study=board.study, prompt_ids=ids)
    colors = model_colors(standing.model for standing in board.standings)
    models = {standing.entry: standing.model for standing in board.standings}
    for prompt in shown:
        _prompt(prompt)
        for column, entry in zip(st.columns(len(chosen)), chosen, strict=True):
            with column:
                st.html(_label(entry, colors[models[entry]]))
                _picture(pictures.get((entry, prompt["prompt_id"])))
                own = (entry, prompt["prompt_id"])
                st.html(_scores([s for s in scores if (s["entry"], s["prompt_id"]) == own]))


def _prompt(row: Row) -> None:
    text = row["prompt"]
    cut = text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]} …"
    style = "overflow-wrap: anywhere; white-space: pre-wrap; margin: 0.5rem 0 0"
    task = f"<span style='opacity: 0.65'>{escape(str(row['task']))}</span>"
    st.html(f"<p style='{style}'><strong>{escape(cut)}</strong> {task}</p>")


def _label(entry: str, color: str) -> str:
    style = f"border-top: 4px solid {color}; font-size: 0.8rem; overflow-wrap: anywhere"
    return f"<div style='{style}'>{escape(entry)}</div>"


def _picture(png: bytes | None) -> None:
    """Draw a picture, or say why there is none."""
    if png is None:
        st.html("<em>no picture</em>")
        return
    picture = readable_picture(png)
    if picture is None:
        st.html("<em>unreadable picture</em>")
        return
    factor = 128 // max(picture.size)
    if factor > 1:  # small pictures grow with sharp edges, large ones shrink
        picture = picture.resize(
            (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
        )
    picture.thumbnail((MAX_EDGE, MAX_EDGE))
    st.image(picture, width="stretch", output_format="PNG")


def _scores(rows: list[Row]) -> str:
    shown = ", ".join(f"{escape(row['metric'])} {row['value']:.3g}" for row in rows)
    return f"<div style='font-size: 0.75rem'>{shown or 'no score'}</div>"
