"""The dashboard's entry: opens the store that BAKEOFF_STORE names and shows one of its pages."""

import os
from collections.abc import Callable
from functools import partial

import duckdb
import streamlit as st

from bakeoff.dashboards.look import empty, frame, refused
from bakeoff.dashboards.pages import arena, head_to_head, leaderboard, sql, win_rates
from bakeoff.platform.leaderboard import Leaderboard
from bakeoff.platform.leaderboard import leaderboard as read_leaderboard
from bakeoff.platform.views import STORE_VARIABLE, Views, fingerprint, open_views
from bakeoff.samplers.errors import InputError

Page = Callable[[Views, str, Leaderboard], None]
PAGES: dict[str, Page] = {
    "Leaderboard": leaderboard.page,
    "Win rates": win_rates.page,
    "Head to head": head_to_head.page,
    "Arena": arena.page,
    "SQL": sql.page,
}
FRESH_SECONDS = 10  # how old an answer may be on whether the store has changed


def main() -> None:
    """Show the page that the address names, or one sentence on what is missing."""
    shown = st.navigation(
        [
            st.Page(partial(_draw, page), title=title, url_path=title.lower().replace(" ", "-"))
            for title, page in PAGES.items()
        ],
        position="top",
    )
    frame(shown.title)
    shown.run()


def _draw(page: Page) -> None:
    path = os.environ.get(STORE_VARIABLE)
    if not path:
        st.error(f"No store is named: start with 'bakeoff dashboard STORE' or set {STORE_VARIABLE}")
        return
    key = ""
    try:
        key = _fingerprint(path)
        _draw_study(page, _views(path, key), f"{path} {key}")
    except (InputError, duckdb.Error) as error:
        if key and _has_changed(path, key):  # what was being read may be gone: read anew
            _fingerprint.clear()
            st.rerun()
        refused("This store cannot be shown.", error)


def _draw_study(page: Page, views: Views, key: str) -> None:
    studies = [row["study"] for row in views.query("studies")]
    if not studies:
        empty("The store holds no run yet. Fill it with `bakeoff run --store DIR`.")
        return
    study = studies[0]
    if len(studies) > 1:
        study = st.selectbox("Study", studies, key="study", bind="query-params", width=320)
    page(views, key, _board(views, key, study))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def _fingerprint(path: str) -> str:
    return fingerprint(path)


@st.cache_resource(max_entries=2, show_spinner="Opening the store …")
def _views(path: str, key: str) -> Views:
    return open_views(path)


@st.cache_resource(max_entries=8, show_spinner="Reading the store …")
def _board(_views: Views, key: str, study: str) -> Leaderboard:
    return read_leaderboard(_views, study)


def _has_changed(path: str, key: str) -> bool:
    try:
        return fingerprint(path) != key
    except InputError:
        return False
