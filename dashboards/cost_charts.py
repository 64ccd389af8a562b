"""Altair charts of what quality costs; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt

from bakeoff.dashboards.charts import (
    AXIS_HEIGHT,
    LABELS,
    Layers,
    limits,
    of_rows,
    span,
    unit_of,
)
from bakeoff.dashboards.colors import STAGE_COLORS, Look
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.conclusions.efficiency import STAGES, Memory, Spot, StageTime

PLOT_HEIGHT = 420
ROW_HEIGHT = 24
WIDE = 20.0  # times: from here on a cost is drawn on a logarithmic scale


def front_chart(
    spots: Sequence[Spot], info: MetricInfo, cost_title: str, looks: Mapping[str, Look]
) -> Layers:
    """Return entries between cost and quality with their intervals; the front is a line, named."""
    front = [spot.entry for spot in spots if spot.is_on_front]
    rows = [
        _spot_row(spot) | {"turn": front.index(spot.entry) % 2 if spot.is_on_front else None}
        for spot in spots
    ]
    names, own = [spot.entry for spot in spots], [looks[spot.entry] for spot in spots]
    spent = [spot.cost for spot in spots]
    least, most = min(spent), max(spent)
    space = (most - least) or most or 1.0
    room = [max(0.0, least - 0.05 * space), most + 0.15 * space]  # names stand to the right
    kind: Literal["log", "linear"] = "linear"
    if least > 0 and most > WIDE * least:
        kind, room = "log", [0.85 * least, 1.5 * most]
    base = of_rows(rows).encode(
        x=alt.X(
            "cost:Q",
            title=cost_title,
            scale=alt.Scale(type=kind, domain=room, nice=False),
            axis=alt.Axis(tickCount=8),
        ),
        tooltip=["entry:N", "recipe:N", "cost:Q", "value:Q", "low:Q", "high:Q", "prompts:Q"],
    )
    ends = [row[end] for row in rows for end in ("low", "high")]
    scale = alt.Scale(domain=limits(ends, info.range), zero=False, nice=False)
    quality = alt.Y("value:Q", title=unit_of(info), scale=scale)
    ink = alt.Color(
        "entry:N",
        scale=alt.Scale(domain=names, range=[look.color for look in own]),
        legend=None,
    )
    best = alt.datum.front == "yes"
    line = base.transform_filter(best).mark_line(
        interpolate="step-after", strokeDash=[5, 4], color="#888888", opacity=0.9
    )
    interval = base.mark_rule(opacity=0.45, strokeWidth=2).encode(
        y=alt.Y("low:Q", scale=scale), y2="high:Q", color=ink
    )
    point = base.mark_point(filled=True, size=110).encode(
        y=quality,
        color=ink,
        shape=alt.Shape(
            "entry:N",
            scale=alt.Scale(domain=names, range=[look.shape for look in own]),
            legend=None,
        ),
        opacity=alt.condition(best, alt.value(1.0), alt.value(0.55)),
    )
    labels = [  # by turns above and below, so that neighbours' stay apart
        base.transform_filter(best & (alt.datum.turn == turn))
        .mark_text(align="left", dx=9, dy=dy, fontSize=12, fontWeight="bold", limit=190)
        .encode(y=quality, text="name:N", color=ink)
        for turn, dy in enumerate((-10, 12))
    ]
    layers = (interval, line.encode(y=quality), point, *labels)
    return alt.layer(*layers).properties(height=PLOT_HEIGHT)


def _spot_row(spot: Spot) -> dict[str, Any]:
    return {
        "entry": spot.entry,
        "name": spot.entry.partition("/")[2] or spot.entry,
        "model": spot.model,
        "recipe": spot.recipe[:200],
        "cost": spot.cost,
        "front": "yes" if spot.is_on_front else "no",
    } | span(spot.quality)


def stage_chart(times: Sequence[StageTime]) -> alt.Chart:
    """Return the median seconds an image of each entry's stages, stacked."""
    rows = [
        {
            "entry": one.entry,
            "stage": one.stage,
            "place": STAGES.index(one.stage),
            "seconds": one.p50,
            "batches": one.batches,
        }
        for one in times
    ]
    order = list(dict.fromkeys(one.entry for one in times))
    longest = max(sum(one.p50 for one in times if one.entry == entry) for entry in order)
    return (
        of_rows(rows)
        .mark_bar()
        .encode(
            y=alt.Y("entry:N", sort=order, axis=LABELS),
            x=alt.X(
                "seconds:Q",
                stack="zero",
                title="seconds an image, median of each stage",
                scale=alt.Scale(domain=[0, 1.02 * longest or 1.0]),
                axis=alt.Axis(tickCount=8),
            ),
            color=alt.Color(
                "stage:N",
                sort=list(STAGES),
                scale=alt.Scale(domain=list(STAGE_COLORS), range=list(STAGE_COLORS.values())),
                legend=None,
            ),
            order=alt.Order("place:Q"),
            tooltip=["entry:N", "stage:N", "seconds:Q", "batches:Q"],
        )
        .properties(height=ROW_HEIGHT * len(order) + AXIS_HEIGHT)
    )


def memory_chart(found: Sequence[Memory], colors: Mapping[str, str]) -> alt.Chart:
    """Return the highest peak of memory of each model and precision."""
    rows: list[dict[str, Any]] = [
        {
            "name": f"{one.model}, {one.precision}, {one.circumstances}",
            "model": one.model,
            "MB": one.peak_bytes / 1e6,
            "entries": one.entries,
        }
        for one in found
    ]
    return (
        of_rows(rows)
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort=[row["name"] for row in rows], axis=LABELS),
            x=alt.X(
                "MB:Q",
                title="peak memory, 10⁶ bytes",
                scale=alt.Scale(domain=[0, 1.02 * max(row["MB"] for row in rows)]),
                axis=alt.Axis(tickCount=8),
            ),
            color=alt.Color(
                "model:N",
                scale=alt.Scale(domain=list(colors), range=list(colors.values())),
                legend=None,
            ),
            tooltip=["name:N", "MB:Q", "entries:Q"],
        )
        .properties(height=ROW_HEIGHT * len(rows) + AXIS_HEIGHT)
    )
