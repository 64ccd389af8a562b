"""The dashboard's entry: opens the store that BAKEOFF_STORE names and shows one of its pages."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread, main_thread
from typing import Literal
from weakref import ref

import duckdb
import streamlit as st
from streamlit.navigation.page import StreamlitPage

from bakeoff.dashboards.latest import Latest
from bakeoff.dashboards.look import empty, frame, refused
from bakeoff.dashboards.pages import (
    arena,
    design_choices,
    efficiency,
    head_to_head,
    leaderboard,
    runs,
    sql,
    trajectories,
    win_rates,
)
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.conclusions.leaderboard import leaderboard as read_leaderboard
from bakeoff.platform.conclusions.outcomes import scores_of
from bakeoff.platform.queries.snapshot import snapshot
from bakeoff.platform.queries.views import STORE_VARIABLE, Views, fingerprint, open_views
from bakeoff.samplers.errors import InputError

Page = Callable[[Views, str, Leaderboard], None]
PAGES: dict[str, Page] = {
    "Leaderboard": leaderboard.page,
    "Win rates": win_rates.page,
    "Head to head": head_to_head.page,
    "Arena": arena.page,
    "Efficiency": efficiency.page,
    "Trajectories": trajectories.page,
    "Design choices": design_choices.page,
    "Runs": runs.page,
    "SQL": sql.page,
}
ALL_BENCHMARKS = "all benchmarks"
FRESH_SECONDS = 10  # how old an answer may be on whether the store has changed


def main() -> None:
    """Show the page that the address names, or one sentence on what is missing."""
    first, *others = PAGES
    # The first has the address "/" alone: its name in an address is that of a copy.
    pages = [_page(first, "first"), *map(_page, others), _page(first, visibility="hidden")]
    shown = st.navigation(pages, position="top")
    frame(shown.title)
    shown.run()


def _page(
    title: str, path: str | None = None, visibility: Literal["visible", "hidden"] = "visible"
) -> StreamlitPage:
    return st.Page(
        partial(_draw, PAGES[title]),
        title=title,
        url_path=path or title.lower().replace(" ", "-"),
        visibility=visibility,
    )


def _draw(page: Page) -> None:
    path = os.environ.get(STORE_VARIABLE)
    if not path:
        st.error(f"No store is named: start with 'bakeoff dashboard STORE' or set {STORE_VARIABLE}")
        return
    key, opened = "", _opened(path)
    try:
        with st.spinner("Opening the store …"):
            newest = _fingerprint(path)
            key, views = opened.get(newest, lambda: _views(path, newest))
        _draw_study(page, views, f"{path} {key}")
    except (InputError, duckdb.Error) as error:
        if key and _has_changed(path, key):  # what was being read may be gone: read anew
            _fingerprint.clear()
            opened.drop()
            st.rerun()
        refused("This store cannot be shown.", error)


def _draw_study(page: Page, views: Views, key: str) -> None:
    found = views.query("studies")
    if not found:
        empty("The store holds no run yet. Fill it with `bakeoff run --store DIR`.")
        return
    study = _study({row["study"]: row["benchmark"] for row in found})
    page(views, key, _board(views, key, study))


def _study(benchmarks: Mapping[str, str]) -> str:
    """Return the study that people choose, the last at first; `benchmarks` are those of studies."""
    studies = list(benchmarks)
    if len(studies) == 1:
        return studies[0]
    with st.container(horizontal=True):
        distinct = sorted(set(benchmarks.values()))
        if len(distinct) > 1:
            options = [ALL_BENCHMARKS, *distinct]
            asked = st.selectbox(
                "Benchmark", options, key="benchmark", bind="query-params", width=220
            )
            studies = [one for one in studies if asked in (ALL_BENCHMARKS, benchmarks[one])]
        return st.selectbox("Study", studies, key="study", bind="query-params", width=320)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def _fingerprint(path: str) -> str:
    return fingerprint(path)


@st.cache_resource(max_entries=2, show_spinner=False)
def _opened(path: str) -> Latest[Views]:
    return Latest()


def _views(path: str, key: str) -> Views:
    """Return the store by its snapshot, which answers at once; without, where none can be kept."""
    views = open_views(path)
    try:
        return Views(views.store, snapshot(views, key))
    except (InputError, duckdb.Error):
        return views


@st.cache_resource(max_entries=8, show_spinner="Reading the store …")
def _board(_views: Views, key: str, study: str) -> Leaderboard:
    board = read_leaderboard(_views, study)
    images = [info.name for info in board.metrics if info.kind == "image"]
    Thread(target=read_ahead, args=(ref(_views), study, images)).start()
    return board


def read_ahead(shown: ref[Views], study: str, metrics: Sequence[str]) -> None:
    """Read the scores that people may choose next, while these views are those shown.

    If it fails, whoever chooses them is told.
    """
    with suppress(InputError, duckdb.Error):
        for metric in metrics:
            if (views := shown()) and main_thread().is_alive():
                scores_of(views, study, metric)
            del views


def _has_changed(path: str, key: str) -> bool:
    try:
        return fingerprint(path) != key
    except InputError:
        return False
