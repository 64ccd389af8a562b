"""What all pages share: frame, theme, labels, and how they say that there is nothing to show."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.tables.leaderboard_table import Shown

# Less air than Streamlit's own, so that a table stands on the first screen, and no headline wider
# than a phone. The CSV that tables bring lets a store's names be a spreadsheet's formulas.
STYLE = """<style>
.stMainBlockContainer { padding: 4rem 1.5rem 3rem; max-width: 1500px; }
.stMainBlockContainer h1 { font-size: 1.75rem; padding: 0.25rem 0 0; overflow-wrap: anywhere; }
.stMainBlockContainer h2 { font-size: 1.3rem; padding: 0.5rem 0 0; }
.stMainBlockContainer h3 { font-size: 1.05rem; padding: 0.25rem 0 0; }
.stHtml h2, .stHtml h4 { margin: 0; padding: 0.25rem 0 0; }
.stElementToolbar button[aria-label*=CSV] { display: none; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 3.75rem 0.75rem 2rem; } }
</style>"""


ALL_TASKS = "all tasks"
PIXELS_A_LETTER, WIDEST = 7, 480  # of a column in a table


def frame(title: str) -> None:
    """Set the browser's title and the styles that all pages share."""
    st.set_page_config(page_title=f"{title} · Bakeoff", layout="wide")
    st.html(STYLE)


def heading(title: str, board: Leaderboard) -> None:
    """Draw a page's title and which study it shows."""
    st.title(title, anchor=False)
    st.text(f"Study {board.study}: {len(board.standings)} entries")


def empty(sentence: str) -> None:
    """Say what would fill the page."""
    st.info(sentence)


def refused(sentence: str, error: Exception) -> None:
    """Say what went wrong, with the error as text: a store's names may stand in it."""
    st.error(sentence)
    st.text(str(error))


def has_pictures(board: Leaderboard) -> bool:
    """Tell whether anything was made yet; if not, say what would."""
    if any(standing.samples for standing in board.standings):
        return True
    empty("This study has no pictures yet. They appear here while `bakeoff run` makes them.")
    return False


def table(rows: list[dict[str, Any]]) -> None:
    """Draw rows of texts and numbers, which people can sort and search."""
    shown = [{name: _rounded(value) for name, value in row.items()} for row in rows]
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height="content",
        placeholder="–",
        column_config=_widths(shown),
    )


def _widths(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return columns of texts as wide as their longest: a grid by itself cuts what is rare."""
    longest: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                longest[name] = max(longest.get(name, len(name)), len(value))
    return {
        name: st.column_config.Column(width=min(PIXELS_A_LETTER * length + 20, WIDEST))
        for name, length in longest.items()
    }


def folded_table(label: str, key: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
    """Draw a table that is folded until people ask for it; until then it costs nothing."""
    fold = st.expander(label, key=key, on_change="rerun")
    if fold.open:
        with fold:
            table(rows())


def _rounded(value: Any) -> Any:
    """Return a figure with three digits, or as many as stand before its point."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


def wide(name: str, pixels: int) -> DeltaGenerator:
    """Return a container whose chart is at least so wide; a narrow screen is pushed sideways."""
    place = f".st-key-{name}"
    st.html(
        f"<style>{place} {{ overflow-x: auto; }} "
        f"{place} .stVegaLiteChart {{ min-width: {pixels}px; }}</style>"
    )
    return st.container(key=name)


def metric_chooser(label: str, infos: list[MetricInfo]) -> MetricInfo:
    """Let people choose a metric, one at least being there."""
    names = [info.name for info in infos]
    name = st.selectbox(label, names, key="metric", bind="query-params", width=320)
    return infos[names.index(name)]


def task_chooser(tasks: Sequence[str], on_change: Callable[[], None] | None = None) -> str | None:
    """Let people choose a task, where there are several; None: all."""
    if len(tasks) < 2:
        return None
    options = [ALL_TASKS, *tasks]
    chosen = st.selectbox(
        "Task or style",
        options,
        key="task",
        bind="query-params",
        width=180,
        on_change=on_change,
    )
    return None if chosen == ALL_TASKS else chosen


def metric_title(info: MetricInfo) -> str:
    """Return a metric's name with unit and direction, as table headings have it."""
    arrow = "↑" if info.higher_is_better else "↓"
    return f"{info.name} {'% ' if info.range == (0.0, 1.0) else ''}{arrow}"


def in_one_line(shown: Shown) -> str:
    """Return a value with its interval behind it."""
    value, interval = shown
    return f"{value} ({interval})" if interval else value


def notes(sentences: list[str]) -> None:
    """Draw what a reader must know, folded."""
    with st.expander("How to read these numbers"):
        for sentence in sentences:
            st.html(f"<p>{escape(sentence)}</p>")
