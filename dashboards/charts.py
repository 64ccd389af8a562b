"""Altair charts of scores and wins; nothing is computed here.

Every scale has its limits given, as a chart is drawn before its data arrive.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pyarrow as pa

from bakeoff.dashboards.colors import DIVERGING, Look
from bakeoff.evaluators.comparison import Decision, Verdict
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.win_matrix import Cell

ROW_HEIGHT = 28
AXIS_HEIGHT = 90  # what an axis with its title takes of a chart
MARGIN = 0.03  # of a scale, free at each end
Range = tuple[float | None, float | None]
UNBOUNDED: Range = (None, None)
CELL_HEIGHT = 44
VERDICT_MARKS: Mapping[Verdict, str] = {
    "better": "▲",
    "worse": "▼",
    "equivalent": "≈",
    "undecided": "",
}
WIN_TOOLTIP = (
    *("entry", "column", "percent", "interval", "verdict", "p, corrected", "further prompts"),
    *("n", "wins, ties, losses", "left out"),
)
Layers = alt.LayerChart | alt.FacetChart
# On a phone entries are named by their recipes: colors tell the models.
NARROW = "containerSize()[0] < 500"
LABELS = alt.Axis(
    labelLimit=alt.ExprRef(f"{NARROW} ? 150 : 300"),
    labelExpr=f"{NARROW} ? (split(datum.label, '/')[1] || datum.label) : datum.label",
    labelOverlap=False,  # no name is left out
    title=None,
)


def unit_of(info: MetricInfo) -> str:
    """Return a metric's name, unit and direction, as axes have it."""
    better = "higher" if info.higher_is_better else "lower"
    return f"{info.name} ({info.unit}, {better} is better)"


def of_rows(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart of rows, without a mark; as a table: altair checks lists cell by cell."""
    return alt.Chart(pa.Table.from_pylist(list(rows)))


def limits(values: Sequence[float], within: Range = UNBOUNDED) -> list[float]:
    """Return where a scale of values, one at least, begins and ends: with room, within a range."""
    low, high = min(values), max(values)
    room = MARGIN * ((high - low) or abs(high) or 1.0)
    least, most = within
    return [
        low - room if least is None else max(low - room, min(low, least)),
        high + room if most is None else min(high + room, max(high, most)),
    ]


def span(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as charts have it, the value in place of an interval that is none."""
    low, high = estimate.interval or (estimate.value, estimate.value)
    return {"value": estimate.value, "low": low, "high": high, "prompts": estimate.prompts}


def interval_chart(
    found: Mapping[str, Estimate],
    looks: Mapping[str, Look],
    title: str,
    *,
    within: Range = UNBOUNDED,
    null: float | None = None,
) -> Layers:
    """Return estimates by name, one at least, as points on their intervals, each in its look.

    `within` is the range of the values, and `null` what they are held against.
    """
    rows = [{"name": name} | span(estimate) for name, estimate in found.items()]
    ends = [row[end] for row in rows for end in ("low", "high")]
    names, own = list(found), [looks[name] for name in found]
    plain = of_rows(rows)
    base = plain.encode(
        y=alt.Y("name:N", sort=names, axis=LABELS),
        color=alt.Color(
            "name:N",
            scale=alt.Scale(domain=names, range=[look.color for look in own]),
            legend=None,
        ),
        tooltip=["name:N", "value:Q", "low:Q", "high:Q", "prompts:Q"],
    )
    ends += [] if null is None else [null]
    scale = alt.Scale(domain=limits(ends, within), nice=False)
    axis = alt.Axis(tickCount=8)
    line = base.mark_rule(size=3, opacity=0.6).encode(
        x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=90, opacity=1).encode(
        x="value:Q",
        shape=alt.Shape(
            "name:N",
            scale=alt.Scale(domain=names, range=[look.shape for look in own]),
            legend=None,
        ),
    )
    layers = [line, point]
    if null is not None:
        held = plain.mark_rule(color="#888888", strokeDash=[4, 4])
        layers.insert(0, held.encode(x=alt.datum(null)))
    return alt.layer(*layers).properties(height=ROW_HEIGHT * len(rows) + AXIS_HEIGHT)


def win_heat_map(
    rows: Sequence[Mapping[str, Any]], order: Sequence[str], columns: Sequence[str]
) -> Layers:
    """Return how often each row's entry beats each column's, with n and verdict in every cell.

    `rows` are those of `win_cells`.
    """
    base = of_rows(rows).encode(
        x=alt.X(
            "column:N",
            sort=list(columns),
            title=None,
            axis=alt.Axis(labelLimit=240, labelAngle=-40, labelOverlap=False, orient="top"),
        ),
        y=alt.Y("entry:N", sort=list(order), axis=LABELS),
        tooltip=[alt.Tooltip(f"{name}:N") for name in WIN_TOOLTIP],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(scheme=DIVERGING, domain=[0, 1], reverse=True),
            legend=None,
        )
    )
    ink = alt.condition("abs(datum.share - 0.5) > 0.3", alt.value("white"), alt.value("#1a1a1a"))
    share = base.mark_text(dy=-6, fontSize=13).encode(text="marked:N", color=ink)
    count = base.mark_text(dy=9, fontSize=9).encode(text="n:N", color=ink)
    shown = len({row["entry"] for row in rows})
    return alt.layer(cells, share, count).properties(
        height=CELL_HEIGHT * shown + 190,
        padding={"left": 0, "top": 0, "bottom": 0, "right": 90},  # for the last column's name
    )


def win_cells(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return what each cell with a pair says, as charts and tables have it."""
    return [_win_cell(cell, won) for cell in found if (won := cell.judgement.wins.estimate)]


def _win_cell(cell: Cell, wins: Estimate) -> dict[str, Any]:
    one, decision = cell.judgement, cell.judgement.decision
    mark = VERDICT_MARKS[decision.verdict] if decision else ""
    interval = wins.interval
    return {
        "entry": one.entry,
        "column": cell.column,
        "share": wins.value,
        "marked": f"{100 * wins.value:.0f} {mark}".rstrip(),
        "percent": f"{100 * wins.value:.1f}",
        "prompts": wins.prompts,
        "n": f"n {wins.prompts}",
        "interval": f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"
        if interval
        else "none",
        "verdict": decision.verdict if decision else "undecided",
        "p, corrected": f"{decision.p_value:.2g}" if decision else "",
        "further prompts": _further(decision),
        "wins, ties, losses": f"{one.wins.wins}, {one.wins.ties}, {one.wins.losses}",
        "left out": one.wins.missing,
    }


def _further(decision: Decision | None) -> str:
    """Return how many more prompts would decide a comparison."""
    if decision is None or decision.verdict != "undecided":
        return ""
    return "no number" if decision.further_prompts is None else f"{decision.further_prompts:,}"
