"""What an image costs in a report: seconds by stage, memory, and what quality they buy."""

from collections.abc import Sequence

from bakeoff.platform.conclusions.efficiency import (
    AXES,
    Cost,
    StageTime,
    costs,
    fronts,
    stage_times,
)
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.queries.views import Views
from bakeoff.platform.report.plot import front_plot
from bakeoff.platform.report.section import Drawing, Section
from bakeoff.platform.report.strips import looks_of, stacked_bars
from bakeoff.platform.tables.colors import STAGE_COLORS
from bakeoff.platform.tables.folding_table import Cell, Column, FoldingTable, Line
from bakeoff.platform.tables.leaderboard_table import SHARE

NOTHING = "–"
MOST_PLOTS = 8


def cost_section(views: Views, board: Leaderboard) -> Section | None:
    """Return what each stage of an image takes; None if nothing was measured."""
    times: dict[str, dict[str, StageTime]] = {}
    for one in stage_times(views, board.study):
        times.setdefault(one.entry, {})[one.stage] = one
    entries = [standing.entry for standing in board.standings if standing.entry in times]
    if not entries:
        return None
    spent = costs(views, board.study)
    kinds = sorted({cost.memory_kind for cost in spent.values() if cost.memory_kind})
    table = _table(entries, [times[entry] for entry in entries], [spent.get(e) for e in entries])
    medians = [{stage: one.p50 for stage, one in times[entry].items()} for entry in entries]
    untypical = [e for e in entries if not all(one.is_typical for one in times[e].values())]
    notes = [
        "Times are those of batches of one size on one device, of the newest run that measured an "
        "entry, without a worker's first batch with a model and without traced ones. Each bar "
        "joins the medians of its stages. An image is text, network, draw and decode; encode, "
        "score and write are the platform's. Peak memory is the highest of any batch"
        + "".join(f", {kind.replace('_', ' ')}" for kind in kinds)
        + "."
    ]
    if untypical:
        notes.append(f"Measured in first or traced batches only: {', '.join(untypical)}.")
    return Section("Cost", drawings=[Drawing(table, stacked_bars(medians, STAGE_COLORS))],
                   notes=notes)  # fmt: skip


def fronts_section(views: Views, board: Leaderboard) -> Section | None:
    """Return what quality costs: drawings of entries whose costs compare; None without any."""
    info = next((info for info in board.metrics if info.name == board.decided_by), None)
    if info is None:
        return None
    share = info.range == SHARE
    better = "higher" if info.higher_is_better else "lower"
    y_title = f"{info.name} ({'%' if share else info.unit}, {better} is better)"
    looks, spent = looks_of(board), costs(views, board.study)
    plots = [
        front_plot(f"{name}: {group}", spots, looks, x_title=AXES[name].title, y_title=y_title,
                   scale=100 if share else 1)
        for name in ("latency", "compute")
        for group, spots in fronts(views, board, spent, info, AXES[name]).items()
        if len({spot.cost for spot in spots}) > 1
    ]  # fmt: skip
    if not plots:
        return None
    told = (
        "Each point is an entry with its 95 % interval; full ones, joined by a line, are on the "
        "front: no other is better and cheaper on the prompts and seeds that all have. Seconds "
        "compare on one device and batch size, row-evaluations within a model."
    )
    return Section("Quality against cost", [told], plots=plots[:MOST_PLOTS])


def _table(
    entries: Sequence[str], times: Sequence[dict[str, StageTime]], spent: Sequence[Cost | None]
) -> FoldingTable:
    stages = [name for name in STAGE_COLORS if any(name in own for own in times)]
    batches = [max(one.batches for one in own.values()) for own in times]
    columns = [
        Column("batches", [(str(count), "") for count in batches]),
        Column("image", [_percentiles(cost) for cost in spent]),
        *(Column(name, [_percentiles(own.get(name)) for own in times]) for name in stages),
        Column("peak MB", [_memory(cost) for cost in spent]),
    ]
    title = "Milliseconds an image: the median batch, below it the 90th and 99th percentile"
    return FoldingTable(title, [Line(entry) for entry in entries], columns)


def _percentiles(one: Cost | StageTime | None) -> Cell:
    if one is None:
        return NOTHING, ""
    middle, *high = map(_milliseconds, (one.p50, one.p90, one.p99))
    return middle, ", ".join(high)


def _milliseconds(seconds: float) -> str:
    """Return a time with three digits, without an exponent."""
    value = 1e3 * seconds
    decimals = next((count for count, limit in enumerate((100, 10, 1)) if value >= limit), 3)
    return f"{value:,.{decimals}f}"


def _memory(cost: Cost | None) -> Cell:
    if cost is None or cost.peak_memory_bytes is None:
        return NOTHING, ""
    return f"{cost.peak_memory_bytes / 1e6:.0f}", ""
