"""Altair charts of how pictures come about, step by step; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bakeoff.dashboards.charts import Layers
from bakeoff.dashboards.colors import recipe_shapes
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.trajectory import Parting, TracePoint

HEIGHT = 260
MOST_MARKERS = 40  # on a line: more would hide it
# Entries of one model share its color: their lines differ besides.
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [1, 4])
NO_TITLE = alt.Legend(orient="top", title=None, columns=2, labelLimit=300)


def measure_chart(
    found: Mapping[str, Sequence[TracePoint]],
    measure: str,
    title: str,
    colors: Mapping[str, str],
    *,
    by_share: bool,
) -> Layers | None:
    """Return a measure over the way of each entry, a band its interval; None without a value.

    `colors` are those of entries; `by_share` puts entries of different lengths on one scale.
    """
    rows = []
    for entry, points in found.items():
        last = max((point.place for point in points), default=0) or 1
        for point in points:
            if estimate := point.measures.get(measure):
                told = {"step": point.step, "phase": point.phase}
                way = point.place / last if by_share else point.place
                rows.append({"entry": entry, "way": way} | told | _span(estimate))
    if not rows:
        return None
    along = "share of all changes" if by_share else "change of the tokens, from 0"
    return _lines(rows, along, title, colors)


def parting_chart(found: Parting, measures: Mapping[str, str], colors: Mapping[str, str]) -> Layers:
    """Return the shares of tokens that two entries do not share after each step."""
    rows = [
        {"entry": measures[name], "way": step, "step": step, "phase": ""} | _span(estimate)
        for step, by_name in found.steps.items()
        for name, estimate in by_name.items()
    ]
    return _lines(rows, "step", "share of tokens", colors)


def _span(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval or (estimate.value, estimate.value)
    return {"value": estimate.value, "low": low, "high": high, "prompts": estimate.prompts}


def _lines(
    rows: Sequence[dict[str, Any]], way: str, title: str, colors: Mapping[str, str]
) -> Layers:
    """Return lines with bands of rows (entry, way, step, phase, value, low, high, prompts)."""
    shapes = recipe_shapes(colors)
    longest = max(sum(row["entry"] == name for row in rows) for name in colors)
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("way:Q", title=way, scale=alt.Scale(nice=False)),
        color=alt.Color(
            "entry:N",
            scale=alt.Scale(domain=list(colors), range=list(colors.values())),
            legend=NO_TITLE,
        ),
        tooltip=[
            *("entry:N", "step:Q", "phase:N", "value:Q", "low:Q", "high:Q", "prompts:Q"),
        ],
    )
    value = alt.Y("value:Q", title=title)
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    dashes = [DASHES[place % len(DASHES)] for place in range(len(colors))]
    dash = alt.StrokeDash(
        "entry:N", scale=alt.Scale(domain=list(colors), range=dashes), legend=NO_TITLE
    )
    line = base.mark_line(strokeWidth=1.75).encode(y=value, strokeDash=dash)
    layers = [band, line]
    if longest <= MOST_MARKERS:
        shape = alt.Shape(
            "entry:N",
            scale=alt.Scale(domain=list(shapes), range=list(shapes.values())),
            legend=NO_TITLE,
        )
        layers.append(base.mark_point(filled=True, size=45).encode(y=value, shape=shape))
    return alt.layer(*layers).properties(height=HEIGHT)
