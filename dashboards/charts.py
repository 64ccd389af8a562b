"""Altair charts of what the leaderboard computed; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bakeoff.dashboards.colors import DIVERGING
from bakeoff.evaluators.comparison import Decision, Verdict
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.leaderboard import Standing
from bakeoff.platform.win_matrix import Cell

ROW_HEIGHT = 28
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
LABELS = alt.Axis(labelLimit=260, labelOverlap=False)  # an entry's name is never left out


def interval_chart(
    standings: Sequence[Standing], info: MetricInfo, colors: Mapping[str, str]
) -> Layers:
    """Return each entry's value as a point on its interval."""
    rows: list[dict[str, Any]] = [
        {
            "entry": standing.entry,
            "model": standing.model,
            "value": found.value,
            "low": found.interval.low if found.interval else found.value,
            "high": found.interval.high if found.interval else found.value,
            "prompts": found.prompts,
        }
        for standing in standings
        if (found := standing.scores.get(info.name))
    ]
    better = "higher" if info.higher_is_better else "lower"
    title = f"{info.name} ({info.unit}, {better} is better), 95 % intervals"
    order = [standing.entry for standing in standings]
    # Given, as the chart is drawn before its data arrive.
    limits = [min(row["low"] for row in rows), max(row["high"] for row in rows)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("entry:N", sort=order, title=None, axis=LABELS),
        color=alt.Color(
            "model:N",
            scale=alt.Scale(domain=list(colors), range=list(colors.values())),
            legend=alt.Legend(orient="top", title=None),
        ),
        tooltip=["entry:N", "value:Q", "low:Q", "high:Q", "prompts:Q"],
    )
    span = base.mark_rule(size=3, opacity=0.6).encode(
        x=alt.X(
            "low:Q",
            title=title,
            scale=alt.Scale(domain=limits, nice=True),
            axis=alt.Axis(tickCount=8),
        ),
        x2="high:Q",
    )
    point = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q")
    return alt.layer(span, point).properties(height=ROW_HEIGHT * len(rows) + 100)


def win_heat_map(found: Sequence[Cell], order: Sequence[str], columns: Sequence[str]) -> Layers:
    """Return how often each row's entry beats each column's, with n and verdict in every cell."""
    rows = [row for cell in found if (row := _win_cell(cell))]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "column:N",
            sort=list(columns),
            title=None,
            axis=alt.Axis(labelLimit=200, labelAngle=-40, labelOverlap=False, orient="top"),
        ),
        y=alt.Y("entry:N", sort=list(order), title="wins of", axis=LABELS),
        tooltip=[alt.Tooltip(f"{name}:N") for name in WIN_TOOLTIP],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(scheme=DIVERGING, domain=[0, 1], reverse=True),
            legend=alt.Legend(title="win rate", format="%"),
        )
    )
    ink = alt.condition("abs(datum.share - 0.5) > 0.3", alt.value("white"), alt.value("#1a1a1a"))
    share = base.mark_text(dy=-6, fontSize=13).encode(text="marked:N", color=ink)
    count = base.mark_text(dy=9, fontSize=9).encode(text="n:N", color=ink)
    rows_shown = len({row["entry"] for row in rows})
    return alt.layer(cells, share, count).properties(height=CELL_HEIGHT * rows_shown + 120)


def _win_cell(cell: Cell) -> dict[str, Any] | None:
    one = cell.comparison
    wins, decision = one.wins.estimate, one.decision
    if wins is None:
        return None
    mark = VERDICT_MARKS[decision.verdict] if decision else ""
    interval = wins.interval
    return {
        "entry": one.entry,
        "column": cell.column,
        "share": wins.value,
        "marked": f"{100 * wins.value:.0f} {mark}".rstrip(),
        "percent": f"{100 * wins.value:.1f}",
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
