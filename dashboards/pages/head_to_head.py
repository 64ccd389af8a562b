"""The same prompt and seed by any entries, side by side, with the scores under each picture."""

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from bakeoff.dashboards.colors import looks_of
from bakeoff.dashboards.legend import marker
from bakeoff.dashboards.look import empty, has_pictures, heading, task_chooser
from bakeoff.dashboards.picture import image
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.conclusions.side_by_side import (
    Disputed,
    Question,
    disputed_prompts,
    pictures,
    prompt_text,
    scores,
)
from bakeoff.platform.queries.views import Views

ENTRIES_AT_FIRST = 6
LONGEST_PROMPT = 600  # characters shown; a store may hold prompts of any length
BENCHMARK_ORDER = "benchmark order"
STYLE = """<style>
.side-by-side { display: grid; gap: 0.75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(150px, 45%), 1fr)); }
.side-by-side figure { margin: 0; max-width: 420px; display: grid; align-content: start;
  grid-template-rows: subgrid; grid-row: span 3; gap: 0; }
.side-by-side figcaption { font-size: 0.8rem; overflow-wrap: anywhere; padding: 0.2rem 0; }
.side-by-side figcaption img { width: auto; height: 12px; vertical-align: -1px; }
.side-by-side img { width: 100%; image-rendering: pixelated; border-radius: 4px; }
.side-by-side img.reduced { image-rendering: auto; }
.side-by-side .score { font-size: 0.8rem; opacity: 0.85; }
</style>"""


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw one prompt's pictures by the entries chosen, and what leads to the others."""
    heading("Head to head", board)
    if not has_pictures(board):
        return
    question = _question(views, key, board)
    if not question.entries:
        empty("Choose at least one entry.")
        return
    found = _disputed(views, key, question)
    if not found:
        empty("No prompt with a picture by these entries fits the search.")
        return
    shown = found[_stepped(len(found)) - 1]
    _prompt(prompt_text(views, board.study, shown.prompt_id), shown, question.metric)
    _side_by_side(views, board, question, shown.prompt_id)


@st.cache_resource(max_entries=32, show_spinner="Sorting prompts …")
def _disputed(_views: Views, key: str, question: Question) -> list[Disputed]:
    return disputed_prompts(_views, question)


@st.cache_resource(max_entries=4, show_spinner=False)
def _choices(_views: Views, key: str, study: str) -> tuple[int, list[str]]:
    """Return the number of seed places of a study, and its tasks."""
    rows = _views.query("seeds_and_tasks", study=study)
    return rows[0]["seeds"], rows[0]["tasks"]


def _restart() -> None:
    """Go to the first prompt: another question has another order."""
    st.session_state["place"] = 1


def _question(views: Views, key: str, board: Leaderboard) -> Question:
    """Return what people ask for by the widgets above the pictures."""
    names = [standing.entry for standing in board.standings]
    entries = st.multiselect(
        "Entries",
        names,
        default=names[:ENTRIES_AT_FIRST],
        key="entries",
        bind="query-params",
        on_change=_restart,
    )
    seeds, tasks = _choices(views, key, board.study)
    metrics = [info.name for info in board.metrics if info.kind == "image"]
    with st.container(horizontal=True):
        by = st.selectbox(
            "Most disagreed first by",
            [*metrics, BENCHMARK_ORDER],
            key="order",
            bind="query-params",
            width=220,
            on_change=_restart,
        )
        task = task_chooser(tasks, _restart)
        seed_place = 1
        if seeds > 1:
            seed_place = st.number_input(
                f"Seed, of {seeds}",
                1,
                seeds,
                key="seed",
                bind="query-params",
                width=140,
                on_change=_restart,
            )
        holding = st.text_input(
            "Prompt contains", key="find", bind="query-params", width=220, on_change=_restart
        )
    return Question(
        study=board.study,
        entries=tuple(entries),
        seed_place=seed_place,
        metric=by if by in metrics else None,
        task=task,
        holding=holding,
    )


def _stepped(count: int) -> int:
    """Return the place that people have stepped to, by buttons, arrow keys or number."""

    def step(by: int) -> None:
        st.session_state["place"] = min(max(1, st.session_state.get("place", 1) + by), count)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Previous", shortcut="Left", on_click=step, args=(-1,))
        st.button("Next", shortcut="Right", on_click=step, args=(1,))
        return st.number_input(
            f"Prompt, of {count}", 1, count, key="place", bind="query-params", width=160
        )


def _prompt(text: str, shown: Disputed, metric: str | None) -> None:
    cut = text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]} …"
    style = "overflow-wrap: anywhere; white-space: pre-wrap; margin: 0.5rem 0 0"
    told = str(shown.task or "")
    if metric and shown.spread is not None:
        told += f" · {metric} differs by {shown.spread:.3g}"
    quiet = f"<span style='opacity: 0.65'>{escape(told)}</span>"
    st.html(f"<p style='{style}'><strong>{escape(cut)}</strong> {quiet}</p>")


def _side_by_side(views: Views, board: Leaderboard, question: Question, prompt_id: str) -> None:
    asked = (views, board.study, [prompt_id], question.seed_place)
    found, judged = pictures(*asked), scores(*asked)
    looks, known = looks_of(board), [info.name for info in board.metrics]
    figures = []
    for standing in board.standings:
        if standing.entry in question.entries:
            where = (standing.entry, prompt_id)
            stored = found.get(where)
            look, own = looks[standing.entry], judged.get(where, {})
            figures.append(
                f"<figure style='border-top: 4px solid {look.color}'>"
                f"<figcaption>{marker(look)} {escape(standing.entry)}</figcaption>"
                f"{image(stored.png if stored else None)}"
                f"{_scores(own, known)}</figure>"
            )
    st.html(f"{STYLE}<div class='side-by-side'>{''.join(figures)}</div>")


def _scores(found: Mapping[str, float], order: Sequence[str]) -> str:
    names = dict.fromkeys((*order, *found))  # those known here in the study's order, then others
    lines = [f"{escape(name)} {found[name]:.3g}" for name in names if name in found]
    told = "".join(f"<div class='score'>{line}</div>" for line in lines or ["no score"])
    return f"<div>{told}</div>"
