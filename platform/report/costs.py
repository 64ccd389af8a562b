"""What an image costs in a report: seconds by stage, and memory."""

from collections.abc import Sequence

from bakeoff.platform.efficiency import Cost, StageTime, costs, stage_times
from bakeoff.platform.folding_table import Cell, Column, FoldingTable, Line
from bakeoff.platform.leaderboard import Leaderboard
from bakeoff.platform.report.section import Drawing, Section
from bakeoff.platform.report.strips import stacked_bars
from bakeoff.platform.views import Views

# Of stages, in the order in which a picture passes them. Not the colors of models; after Tol's
# muted scheme, which the color-blind can tell apart.
STAGE_COLORS = {
    "text": "#332288",
    "network": "#88ccee",
    "draw": "#44aa99",
    "decode": "#117733",
    "encode": "#999933",
    "score": "#ddcc77",
    "write": "#cc6677",
}
NOTHING = "–"


def cost_section(views: Views, board: Leaderboard) -> Section | None:
    """Return what each stage of an image takes; None if nothing was measured."""
    times: dict[str, dict[str, StageTime]] = {}
    for one in stage_times(views, board.study):
        times.setdefault(one.entry, {})[one.stage] = one
    entries = [standing.entry for standing in board.standings if standing.entry in times]
    if not entries:
        return None
    spent = costs(views, board.study)
    table = _table(entries, [times[entry] for entry in entries], [spent.get(e) for e in entries])
    medians = [{stage: one.p50 for stage, one in times[entry].items()} for entry in entries]
    untypical = [e for e in entries if not all(one.is_typical for one in times[e].values())]
    notes = [
        "Times are those of batches of one size on one device, of the newest run that measured an "
        "entry, without a worker's first batch with a model and without traced ones. Each bar "
        "joins the medians of its stages. An image is text, network, draw and decode; encode, "
        "score and write are the platform's. Peak memory is the highest of any batch."
    ]
    if untypical:
        notes.append(f"Measured in first or traced batches only: {', '.join(untypical)}.")
    return Section("Cost", drawings=[Drawing(table, stacked_bars(medians, STAGE_COLORS))],
                   notes=notes)  # fmt: skip


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
    return f"{1e3 * one.p50:.3g}", f"{1e3 * one.p90:.3g}, {1e3 * one.p99:.3g}"


def _memory(cost: Cost | None) -> Cell:
    if cost is None or cost.peak_memory_bytes is None:
        return NOTHING, ""
    return f"{cost.peak_memory_bytes / 1e6:.0f}", (cost.memory_kind or "").replace("_", " ")
