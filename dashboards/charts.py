"""Altair charts of what the leaderboard computed; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bakeoff.dashboards.colors import DIVERGING
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.platform.comparisons import Comparison
from bakeoff.platform.leaderboard import Standing

ROW_HEIGHT = 28
CELL_HEIGHT = 44
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


def win_heat_map(matches: Sequence[Comparison], order: Sequence[str]) -> Layers:
    """Return how often each row's entry beats each column's, with n in every cell."""
    rows: list[dict[str, Any]] = [
        {
            "entry": match.entry,
            "opponent": match.opponent,
            "share": found.value,
            "percent": f"{100 * found.value:.0f}",
            "n": f"n {found.prompts}",
            "interval": f"{100 * found.interval.low:.1f} to {100 * found.interval.high:.1f} %"
            if found.interval
            else "none",
            "wins, ties, losses": f"{match.wins.wins}, {match.wins.ties}, {match.wins.losses}",
            "left out": match.wins.missing,
        }
        for match in matches
        if (found := match.wins.estimate)
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "opponent:N",
            sort=list(order),
            title="against",
            axis=alt.Axis(labelLimit=200, labelAngle=-40, labelOverlap=False, orient="top"),
        ),
        y=alt.Y("entry:N", sort=list(order), title="wins of", axis=LABELS),
        tooltip=["entry:N", "opponent:N", "percent:N", "interval:N", "n:N"]
        + [alt.Tooltip(f"{name}:N") for name in ("wins, ties, losses", "left out")],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(scheme=DIVERGING, domain=[0, 1], reverse=True),
            legend=alt.Legend(title="win rate", format="%"),
        )
    )
    ink = alt.condition("abs(datum.share - 0.5) > 0.3", alt.value("white"), alt.value("#1a1a1a"))
    share = base.mark_text(dy=-6, fontSize=13).encode(text="percent:N", color=ink)
    count = base.mark_text(dy=9, fontSize=9).encode(text="n:N", color=ink)
    return alt.layer(cells, share, count).properties(height=CELL_HEIGHT * len(order) + 120)
