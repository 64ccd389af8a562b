"""Altair charts of how pictures come about, step by step; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bakeoff.dashboards.charts import Layers, of_rows, span
from bakeoff.dashboards.legend import Key
from bakeoff.platform.conclusions.trajectory import Parting, TracePoint

HEIGHT = 220
MOST_MARKERS = 40  # on a line: more would hide it
# Entries of one model share its color: their lines differ besides.
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [1, 4])


def measure_chart(
    found: Mapping[str, Sequence[TracePoint]],
    measure: str,
    keys: Sequence[Key],
    *,
    by_share: bool,
) -> Layers | None:
    """Return a measure over the way of each entry, a band its interval; None without a value.

    `keys` are those of entries; `by_share` puts entries of different lengths on one scale.
    """
    rows: list[dict[str, Any]] = []
    for entry, points in found.items():
        last = max((point.place for point in points), default=0) or 1
        for point in points:
            if estimate := point.measures.get(measure):
                told = {"step": point.step, "phase": point.phase}
                way = point.place / last if by_share else point.place
                rows.append({"name": entry, "way": way} | told | span(estimate))
    if not rows:
        return None
    highest = max(row["high"] for row in rows)
    along = "share of all changes" if by_share else "change of the tokens, from 0"
    return _lines(rows, along, keys, highest)


def parting_chart(found: Parting, keys: Mapping[str, Key]) -> Layers:
    """Return the shares of tokens that two entries do not share after each step, by measure."""
    rows = [
        {"name": keys[name].name, "way": step, "step": step, "phase": ""} | span(estimate)
        for step, by_name in found.steps.items()
        for name, estimate in by_name.items()
    ]
    return _lines(rows, "step", list(keys.values()), 1.0)


def _lines(rows: Sequence[dict[str, Any]], way: str, keys: Sequence[Key], highest: float) -> Layers:
    """Return lines with bands of rows (name, way, step, phase, value, low, high, prompts).

    No measure is below zero: where an interval is, it is cut.
    """
    names = [key.name for key in keys]
    ways = [row["way"] for row in rows]
    longest = max(sum(row["name"] == name for row in rows) for name in names)
    base = of_rows(rows).encode(
        x=alt.X(
            "way:Q",
            title=way,
            scale=alt.Scale(domain=[min(ways), max(ways) or 1], nice=False),
            axis=alt.Axis(tickCount=8),
        ),
        color=alt.Color(
            "name:N",
            scale=alt.Scale(domain=names, range=[key.color for key in keys]),
            legend=None,
        ),
        tooltip=["name:N", "step:Q", "phase:N", "value:Q", "low:Q", "high:Q", "prompts:Q"],
    )
    scale = alt.Scale(domain=[0, highest if highest > 0 else 1])
    axis = alt.Axis(tickCount=5)
    band = base.mark_area(opacity=0.18, clip=True).encode(
        y=alt.Y("low:Q", title=None, scale=scale, axis=axis), y2="high:Q"
    )
    dashes = [list(key.dash or DASHES[0]) for key in keys]
    line = base.mark_line(strokeWidth=1.75).encode(
        y=alt.Y("value:Q", scale=scale),
        strokeDash=alt.StrokeDash(
            "name:N", scale=alt.Scale(domain=names, range=dashes), legend=None
        ),
    )
    layers = [band, line]
    shapes = [key.shape for key in keys if key.shape]
    if longest <= MOST_MARKERS and len(shapes) == len(keys):
        shape = alt.Shape(
            "name:N",
            scale=alt.Scale(domain=names, range=shapes),
            legend=None,
        )
        point = base.mark_point(filled=True, size=45, opacity=1)
        layers.append(point.encode(y=alt.Y("value:Q", scale=scale), shape=shape))
    return alt.layer(*layers).properties(height=HEIGHT)
