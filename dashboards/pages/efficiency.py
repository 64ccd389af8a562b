"""What quality costs: fronts, stages, memory, and speed beside each model's baseline."""

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from bakeoff.dashboards.colors import STAGE_COLORS, looks_of, model_colors
from bakeoff.dashboards.cost_charts import front_chart, memory_chart, stage_chart
from bakeoff.dashboards.legend import INK, Key, legend, models_legend
from bakeoff.dashboards.look import (
    empty,
    folded_table,
    has_pictures,
    heading,
    in_one_line,
    metric_chooser,
    metric_title,
    notes,
    table,
)
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.conclusions.efficiency import (
    AXES,
    Cost,
    Memory,
    SpeedUp,
    Spot,
    StageTime,
    costs,
    fronts,
    memory_by_precision,
    speed_ups,
    stage_times,
)
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.queries.views import Views
from bakeoff.platform.tables.leaderboard_table import number, percent
from bakeoff.platform.tables.verdict_notes import confidence, correction

NOTES = (
    "Front: an entry that no other beats in both quality and cost; by the values, so that where "
    "intervals overlap another run may draw another front.",
    "Times, memory and energy compare on the same device and batch size only, row-evaluations "
    "within a model only: what does not compare has a chart of its own. Who is on the front is "
    "judged on the prompts and seeds that all entries of a chart have.",
    "s/image: text, network, drawing and decoding. Percentiles over batches; a worker's first "
    "batch with a model and traced ones count only where there is no other (*).",
    "Speed-up: median of the baseline's batches over the entry's; interval by order statistics, "
    "which takes seven batches of each; none where one has only first batches (*). The baseline "
    "of a model is the study's, or its entry that differs least from that one.",
)


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw what each entry costs, and which cost buys quality."""
    heading("Efficiency", board)
    if not has_pictures(board):
        return
    found = _costs(views, key, board.study)
    infos = [info for info in board.metrics if any(info.name in s.scores for s in board.standings)]
    if infos:
        _fronts(views, board, found, infos)
    else:
        empty("No entry has a score yet; the fronts need a metric.")
    _speed(views, key, board, found)
    _stages(_times(views, key, board.study))
    _memory(board, found)
    notes([*NOTES, _as_good(board)])


def _as_good(board: Leaderboard) -> str:
    return (
        f"As good: verdict on the win rate against that baseline, {correction(board)}, for all "
        f"lines of the table; equivalent if its whole {confidence(board)} interval lies within the "
        "margin around 50 %."
    )


@st.cache_resource(max_entries=8, show_spinner="Reading profiles …")
def _costs(_views: Views, key: str, study: str) -> dict[str, Cost]:
    return costs(_views, study)


@st.cache_resource(max_entries=8, show_spinner="Reading profiles …")
def _times(_views: Views, key: str, study: str) -> list[StageTime]:
    return stage_times(_views, study)


@st.cache_resource(max_entries=16, show_spinner="Comparing entries …")
def _speed_ups(
    _views: Views,
    key: str,
    study: str,
    metric: str | None,
    equivalent: float,
    _board: Leaderboard,
    _found: Mapping[str, Cost],
) -> list[SpeedUp]:
    return speed_ups(_views, _board, _found, metric, equivalent)


def _fronts(
    views: Views, board: Leaderboard, found: Mapping[str, Cost], infos: list[MetricInfo]
) -> None:
    st.header("Quality against cost", anchor="fronts")
    with st.container(horizontal=True):
        info = metric_chooser("Quality", infos)
        name = st.selectbox("Cost", list(AXES), key="cost", bind="query-params", width=320)
    groups = fronts(views, board, found, info, AXES[name])
    if not groups:
        told = " Energy is counted on GPUs with the extra `gpu`." if name == "energy" else ""
        empty(f"No entry has both a score and a measured {name}.{told}")
        return
    looks = looks_of(board)
    shapes = {entry.partition("/")[2] or entry: look.shape for entry, look in looks.items()}
    models_legend(model_colors(standing.model for standing in board.standings))
    legend(Key(recipe, INK, shape) for recipe, shape in shapes.items())
    for group, spots in groups.items():
        if len(groups) > 1:
            st.html(f"<h4>{escape(group)}</h4>")
        st.altair_chart(front_chart(spots, info, AXES[name].title, looks), width="stretch")
    table(
        [
            {"compared within": group} | _spot(spot, info, AXES[name].title)
            for group, spots in groups.items()
            for spot in spots
        ]
    )


def _spot(spot: Spot, info: MetricInfo, cost: str) -> dict[str, Any]:
    return {
        "entry": spot.entry,
        "on the front": "●" if spot.is_on_front else "",
        cost: spot.cost,
        metric_title(info): in_one_line(number(info, spot.quality)),
        "prompts": spot.quality.prompts,
    }


def _speed(views: Views, key: str, board: Leaderboard, found: Mapping[str, Cost]) -> None:
    st.header("Speed beside the baseline", anchor="speed")
    metrics = [info.name for info in board.metrics if info.kind == "image"]
    with st.container(horizontal=True):
        metric = None
        if metrics:
            metric = st.selectbox(
                "As good by", metrics, key="judge", bind="query-params", width=320
            )
        margin = st.number_input(
            "Margin, points of win rate",
            0.5,
            25.0,
            5.0,
            key="margin",
            bind="query-params",
            width=320,
        )
    rows = _speed_ups(views, key, board.study, metric, margin / 100, board, found)
    if not rows:
        empty("Every model has one entry only: there is nothing to be faster than.")
        return
    table([_speed_up(one, found) for one in rows])


def _speed_up(one: SpeedUp, found: Mapping[str, Cost]) -> dict[str, Any]:
    cost, ratio, judged = found.get(one.entry), one.ratio, one.comparison
    row: dict[str, Any] = {"entry": one.entry, "baseline": one.baseline}
    row["times as fast"] = round(ratio.value, 2) if ratio else None
    row["interval"] = "–"
    if ratio and ratio.interval:
        row["interval"] = f"{ratio.interval.low:.2f}..{ratio.interval.high:.2f}"
    row["batches, of both"] = f"{one.batches}, {one.baseline_batches}"
    for name in ("p50", "p90", "p99"):
        row[f"s/image {name}"] = _seconds(getattr(cost, name), cost) if cost else "–"
    wins = judged.wins.estimate if judged else None
    row["quality"] = judged.decision.verdict if judged and judged.decision else "–"
    row["wins %"] = in_one_line(percent(wins, 1)) if wins else "–"
    row["prompts"] = wins.prompts if wins else None
    return row


def _seconds(value: float, cost: Cost) -> str:
    return f"{value:.3g}{'' if cost.is_typical else '*'}"


def _stages(times: list[StageTime]) -> None:
    st.header("Where the time goes", anchor="stages")
    if not times:
        empty("No stage was measured yet: `bakeoff run` writes profiles with every shard.")
        return
    legend(Key(stage, color, "square") for stage, color in STAGE_COLORS.items())
    st.altair_chart(stage_chart(times), width="stretch")
    folded_table(
        "Percentiles by stage", "percentiles", lambda: [_percentiles(one) for one in times]
    )


def _percentiles(one: StageTime) -> dict[str, Any]:
    return {
        "entry": one.entry,
        "stage": f"{one.stage}{'' if one.is_typical else '*'}",
        "batches": one.batches,
        "s/image p50": one.p50,
        "p90": one.p90,
        "p99": one.p99,
    }


def _memory(board: Leaderboard, found: Mapping[str, Cost]) -> None:
    st.header("Memory by precision", anchor="memory")
    peaks = memory_by_precision(board, found)
    if not peaks:
        empty("No memory was measured yet: `bakeoff run` writes profiles with every shard.")
        return
    colors = model_colors(standing.model for standing in board.standings)
    st.altair_chart(memory_chart(peaks, colors), width="stretch")
    table([_peak(one) for one in peaks])


def _peak(one: Memory) -> dict[str, Any]:
    allocated = one.allocated_bytes
    return {
        "model": one.model,
        "precision": one.precision,
        "measured on": one.circumstances,
        "kind": one.kind,
        "entries": one.entries,
        "peak MB": one.peak_bytes / 1e6,
        "allocated MB": None if allocated is None else allocated / 1e6,
    }
