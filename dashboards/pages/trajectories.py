"""How pictures come about: schedules, entropy, divergence over the steps, and where two part."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from bakeoff.dashboards.colors import looks_of
from bakeoff.dashboards.legend import Key, legend
from bakeoff.dashboards.look import empty, folded_table, has_pictures, heading, notes
from bakeoff.dashboards.token_maps import difference_map, row_of_maps, token_map, unknown_token
from bakeoff.dashboards.trace_charts import DASHES, measure_chart, parting_chart
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.conclusions.side_by_side import (
    Question,
    disputed_prompts,
    pictures,
    prompt_text,
)
from bakeoff.platform.conclusions.trajectory import (
    DIFFERENCES,
    MEASURES,
    PAIRS,
    Parting,
    TracePoint,
    parting,
    traced_entries,
    trajectories,
)
from bakeoff.platform.queries.views import Row, Views

ENTRIES_AT_FIRST = 3
MAPS = 10  # of a row: evenly over the steps
LONGEST_PROMPT = 400  # characters shown
WAYS = ("changes of the tokens", "share of all changes")
NO_TRACES = (
    "No entry of this study has traces. Write `traces: true` in the study and run it again: "
    "pictures that are there are kept, and their steps are looked at once more."
)
NOTES = (
    *(f"{name.replace('_', ' ')}: {sentence}" for name, sentence in MEASURES.items()),
    "Bands: 95 % interval, Student's t on prompt means. Of an autoregressive model a step is a "
    "position; Z-sampling changes tokens several times a step, backward, too.",
    f"Where two part: the first {PAIRS} pairs of same prompt and seed position, as far as both "
    "have steps. Recipes that share a seed share their noise, so that what differs is the recipe's "
    "doing.",
    "Token maps: one color for each token, always the same; grey where it is not known yet.",
)


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw the traces of some entries, and compare two of them token by token."""
    heading("Trajectories", board)
    if not has_pictures(board):
        return
    traced = _traced(views, key, board.study)
    if not traced:
        empty(NO_TRACES)
        return
    _measures(views, key, board, traced)
    pair = _pair(board, traced)
    _parting(views, key, board, pair)
    _maps(views, key, board, pair)
    notes(list(NOTES))


@st.cache_resource(max_entries=8, show_spinner="Reading traces …")
def _traced(_views: Views, key: str, study: str) -> list[str]:
    return traced_entries(_views, study)


@st.cache_resource(max_entries=16, show_spinner="Reading traces …")
def _trajectories(
    _views: Views, key: str, study: str, entries: tuple[str, ...]
) -> dict[str, list[TracePoint]]:
    return trajectories(_views, study, entries)


@st.cache_resource(max_entries=16, show_spinner="Comparing tokens …")
def _partings(_views: Views, key: str, study: str, entry: str, opponent: str) -> Parting:
    return parting(_views, study, entry, opponent)


@st.cache_resource(max_entries=8, show_spinner=False)
def _prompts(_views: Views, key: str, question: Question) -> list[str]:
    return [one.prompt_id for one in disputed_prompts(_views, question)]


def _measures(views: Views, key: str, board: Leaderboard, traced: Sequence[str]) -> None:
    chosen = st.multiselect(
        "Entries", traced, default=traced[:ENTRIES_AT_FIRST], key="paths", bind="query-params"
    )
    way = st.selectbox("Along", WAYS, key="along", bind="query-params", width=320)
    if not chosen:
        empty("Choose at least one entry.")
        return
    found = _trajectories(views, key, board.study, tuple(chosen))
    looks = looks_of(board)
    keys = [
        Key(entry, *looks[entry], DASHES[place % len(DASHES)]) for place, entry in enumerate(chosen)
    ]
    legend(keys)
    columns = st.columns(2)
    drawn = 0
    for name, sentence in MEASURES.items():
        chart = measure_chart(found, name, keys, by_share=way == WAYS[1])
        if chart:
            with columns[drawn % 2]:
                st.html(f"<strong>{name.replace('_', ' ')}</strong><br>{sentence}")
                st.altair_chart(chart, width="stretch")
            drawn += 1
    folded_table(
        "The numbers",
        "numbers",
        lambda: [_point(entry, point) for entry, points in found.items() for point in points],
    )


def _point(entry: str, point: TracePoint) -> dict[str, Any]:
    row: dict[str, Any] = {"entry": entry, "step": point.step, "phase": point.phase}
    row["prompts"] = max((one.prompts for one in point.measures.values()), default=0)
    for name in MEASURES:
        estimate = point.measures.get(name)
        row[name.replace("_", " ")] = _spelled(estimate)
    return row


def _spelled(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    shown = f"{estimate.value:z.3f}"
    if estimate.interval:
        shown += " ({:z.3f}..{:z.3f})".format(*estimate.interval)
    return shown


def _pair(board: Leaderboard, traced: Sequence[str]) -> tuple[str, str] | None:
    """Return two entries of one model, as people choose them; None where none has two."""
    st.header("Where two recipes part", anchor="parting")
    models = {standing.entry: standing.model for standing in board.standings}
    able = [e for e in traced if sum(models[other] == models[e] for other in traced) > 1]
    if not able:
        empty("Two entries of one model with traces are needed to compare their tokens.")
        return None
    with st.container(horizontal=True):
        one = st.selectbox("Entry", able, key="path", bind="query-params", width=320)
        others = [entry for entry in able if models[entry] == models[one] and entry != one]
        other = st.selectbox("Beside", others, key="beside", bind="query-params", width=320)
    return one, other


def _parting(views: Views, key: str, board: Leaderboard, pair: tuple[str, str] | None) -> None:
    if pair is None:
        return
    found = _partings(views, key, board.study, *pair)
    if not found.pairs:
        empty("These two have no traced pictures of the same prompt and seed position yet.")
        return
    if found.first:
        step = f"{found.first.value:z.1f}"
        if found.first.interval:
            step += " ({:z.1f}..{:z.1f})".format(*found.first.interval)
        st.text(
            f"Tokens differ in {found.parted} of {found.pairs} pairs, for the first time after "
            f"step {step} on average (from 0; {found.first.prompts} prompts)."
        )
    else:
        st.text(f"No token differs in any of {found.pairs} pairs.")
    ink = looks_of(board)[pair[0]].color
    keys = {
        name: Key(sentence, ink, None, DASHES[place])
        for place, (name, sentence) in enumerate(DIFFERENCES.items())
    }
    legend(keys.values())
    st.altair_chart(parting_chart(found, keys), width="stretch")
    folded_table(
        "The numbers, by step",
        "differences",
        lambda: [_difference(step, by_name) for step, by_name in found.steps.items()],
    )


def _difference(step: int, found: Mapping[str, Estimate]) -> dict[str, Any]:
    row: dict[str, Any] = {"step": step}
    for name in DIFFERENCES:
        estimate = found.get(name)
        row |= {name: _spelled(estimate), f"{name}: prompts": estimate.prompts if estimate else 0}
    return row


def _maps(views: Views, key: str, board: Leaderboard, pair: tuple[str, str] | None) -> None:
    """Draw how the tokens of one prompt and seed come, by both entries, and where they differ."""
    st.header("Token maps", anchor="maps")
    entries = pair or tuple(_traced(views, key, board.study)[:1])
    most = views.query("seeds_and_tasks", study=board.study)[0]["seeds"]
    with st.container(horizontal=True):
        seed = st.number_input("Seed position", 1, most, key="seed", bind="query-params", width=160)
        prompts = _prompts(views, key, Question(board.study, tuple(entries), seed))
        if not prompts:
            empty("No prompt has a picture at this seed position.")
            return
        place = st.number_input(
            f"Prompt, of {len(prompts)}",
            1,
            len(prompts),
            key="prompt",
            bind="query-params",
            width=160,
        )
    prompt_id = prompts[place - 1]
    text = prompt_text(views, board.study, prompt_id)
    st.text(text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]} …")
    made = pictures(views, board.study, [prompt_id], seed)
    states = []
    for entry in entries:
        sample = made.get((entry, prompt_id))
        rows = views.query("token_maps", sample_id=sample.sample_id) if sample else []
        states.append([row for row in rows if row["tokens"]])
        st.html(f"<h4>{escape(entry)}</h4>")
        _row(states[-1])
    if len(states) == 2:
        _differences(*states)


def _row(rows: Sequence[Row]) -> None:
    if not rows:
        empty("This picture has no trace.")
        return
    maps = [
        (_caption(row), token_map(row["tokens"], unknown_token(row["tokens"], row["mask_ratio"])))
        for row in _spread(rows)
    ]
    st.html(row_of_maps(maps))


def _differences(ours: Sequence[Row], theirs: Sequence[Row]) -> None:
    """Draw where tokens differ after the steps that both have."""
    latest = [{row["step"]: row for row in rows} for rows in (ours, theirs)]
    steps = [
        step
        for step in latest[0]
        if step in latest[1] and len(latest[0][step]["tokens"]) == len(latest[1][step]["tokens"])
    ]
    if not steps:
        return
    st.html("<h4>Where they differ</h4>")
    maps = [
        (f"step {step}", difference_map(*(one[step]["tokens"] for one in latest)))
        for step in _spread(steps)
    ]
    st.html(row_of_maps(maps))


def _spread(items: Sequence[Any]) -> list[Any]:
    """Return the first, the last, and others evenly between them."""
    if len(items) <= MAPS:
        return list(items)
    return [items[round(place * (len(items) - 1) / (MAPS - 1))] for place in range(MAPS)]


def _caption(row: Row) -> str:
    return f"step {row['step']}{' back' if row['phase'] == 'backtrack' else ''}"
