"""Altair charts of what quality costs; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import altair as alt

from bakeoff.dashboards.charts import Layers
from bakeoff.dashboards.colors import recipe_shapes
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.efficiency import STAGES, Memory, Spot, StageTime

PLOT_HEIGHT = 420
ROW_HEIGHT = 24
WIDE = 20.0  # times: from here on a cost is drawn on a logarithmic scale
LABELS = alt.Axis(labelLimit=260, labelOverlap=False, title=None)
# Okabe and Ito's, the network's the strongest, as it is what recipes change.
STAGE_COLORS: Final = {
    "text": "#56B4E9",
    "network": "#0072B2",
    "draw": "#009E73",
    "decode": "#E69F00",
    "encode": "#CC79A7",
    "score": "#D55E00",
    "write": "#999999",
}


def front_chart(
    spots: Sequence[Spot], info: MetricInfo, cost_title: str, colors: Mapping[str, str]
) -> Layers:
    """Return entries between cost and quality with their intervals; the front is a line, named."""
    rows = [_spot_row(spot) for spot in spots]
    shapes = recipe_shapes([spot.entry for spot in spots])
    better = "higher" if info.higher_is_better else "lower"
    spent = [spot.cost for spot in spots]
    kind: Literal["log", "linear"] = "linear"
    if min(spent) > 0 and max(spent) > WIDE * min(spent):
        kind = "log"
    room = [0.95 * min(spent), 1.12 * max(spent)]  # names stand to the right of their points
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("cost:Q", title=cost_title, scale=alt.Scale(type=kind, domain=room, nice=False)),
        tooltip=["entry:N", "recipe:N", "cost:Q", "value:Q", "low:Q", "high:Q", "prompts:Q"],
    )
    quality = alt.Y(
        "value:Q",
        title=f"{info.name} ({info.unit}, {better} is better)",
        scale=alt.Scale(zero=False, nice=True),
    )
    ink = alt.Color(
        "model:N",
        scale=alt.Scale(domain=list(colors), range=list(colors.values())),
        legend=alt.Legend(orient="top", title=None),
    )
    best = alt.datum.front == "yes"
    line = base.transform_filter(best).mark_line(
        interpolate="step-after", strokeDash=[5, 4], color="#888888", opacity=0.9
    )
    span = base.mark_rule(opacity=0.45, strokeWidth=2).encode(
        y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q", color=ink
    )
    point = base.mark_point(filled=True, size=110).encode(
        y=quality,
        color=ink,
        shape=alt.Shape(
            "entry:N",
            scale=alt.Scale(domain=list(shapes), range=list(shapes.values())),
            legend=None,
        ),
        opacity=alt.condition(best, alt.value(1.0), alt.value(0.55)),
    )
    name = (
        base.transform_filter(best)
        .mark_text(align="left", dx=9, dy=-9, fontSize=12, fontWeight="bold", limit=190)
        .encode(y=quality, text="name:N", color=ink)
    )
    return alt.layer(span, line.encode(y=quality), point, name).properties(height=PLOT_HEIGHT)


def _spot_row(spot: Spot) -> dict[str, Any]:
    low, high = spot.quality.interval or (spot.quality.value, spot.quality.value)
    return {
        "entry": spot.entry,
        "name": spot.entry.partition("/")[2] or spot.entry,
        "model": spot.model,
        "recipe": spot.recipe[:200],
        "cost": spot.cost,
        "value": spot.quality.value,
        "low": low,
        "high": high,
        "prompts": spot.quality.prompts,
        "front": "yes" if spot.is_on_front else "no",
    }


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
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            y=alt.Y("entry:N", sort=order, axis=LABELS),
            x=alt.X("seconds:Q", stack="zero", title="seconds an image, median of each stage"),
            color=alt.Color(
                "stage:N",
                sort=list(STAGES),
                scale=alt.Scale(domain=list(STAGE_COLORS), range=list(STAGE_COLORS.values())),
                legend=alt.Legend(orient="top", title=None, columns=4),
            ),
            order=alt.Order("place:Q"),
            tooltip=["entry:N", "stage:N", "seconds:Q", "batches:Q"],
        )
        .properties(height=ROW_HEIGHT * len(order) + 110)
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
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort=[row["name"] for row in rows], axis=LABELS),
            x=alt.X("MB:Q", title="peak memory, 10⁶ bytes"),
            color=alt.Color(
                "model:N",
                scale=alt.Scale(domain=list(colors), range=list(colors.values())),
                legend=None,
            ),
            tooltip=["name:N", "MB:Q", "entries:Q"],
        )
        .properties(height=ROW_HEIGHT * len(rows) + 60)
    )
