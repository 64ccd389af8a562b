"""An entry's trajectory as a text table."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.trajectory import MEASURES, TracePoint
from bakeoff.platform.tables.folding_table import Column, FoldingTable, Line

DECIMALS = 3


def render(title: str, points: Sequence[TracePoint]) -> RenderableType:
    """Return one line for each change of the tokens, each number above its interval."""
    lines = [Line(f"{point.step} {point.phase}") for point in points]
    counts = [max(found.prompts for found in point.measures.values()) for point in points]
    columns = [Column("prompts", [(str(count), "") for count in counts])]
    columns += [
        Column(
            name.replace("_", " "),
            [_cell(point.measures.get(name), n) for point, n in zip(points, counts, strict=True)],
        )
        for name in MEASURES
    ]
    notes = [f"{name.replace('_', ' ')}: {sentence}" for name, sentence in MEASURES.items()]
    notes.append(
        "low..high: 95 % interval, Student's t on prompt means; n where fewer prompts have a "
        "value. Of an autoregressive model a step is a position."
    )
    shown = Text("\n".join(f"• {note}" for note in notes), style="dim")
    return Group(FoldingTable(title, lines, columns, "step"), "", shown)


def _cell(estimate: Estimate | None, prompts: int) -> tuple[str, str]:
    if estimate is None:
        return "–", ""
    ends = "..".join(f"{end:z.{DECIMALS}f}" for end in estimate.interval or ())
    if estimate.prompts < prompts:
        ends = f"{ends} n {estimate.prompts}".strip()
    return f"{estimate.value:z.{DECIMALS}f}", ends
