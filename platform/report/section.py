"""What a report is made of: sections of sentences, tables, charts and pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bakeoff.platform.report.asked import Query
from bakeoff.platform.report.matrix import Matrix
from bakeoff.platform.report.plot import Plot
from bakeoff.platform.report.strips import Bars, Mark, Segment, Strips
from bakeoff.platform.tables.folding_table import Cell, FoldingTable, Line


@dataclass(frozen=True)
class Drawing:
    """A table, with a chart that has a strip beside each of its rows."""

    table: FoldingTable
    chart: Strips | Bars | None = None
    is_text: bool = False  # cells are read, not compared: aligned left

    @property
    def rows(self) -> Iterator[tuple[Line, Sequence[Cell], Mark | Sequence[Segment] | None]]:
        """Every line with its cells and what its strip shows; a head has neither."""
        strips = iter(self.chart.rows if self.chart else ())
        for line, cells in self.table.rows(self.table.columns):
            yield line, cells, None if line.is_head else next(strips, None)


@dataclass(frozen=True)
class Picture:
    """An entry's picture as a data URI, or None if there is none to show, with its scores."""

    entry: str
    model: str
    uri: str | None
    scores: str


@dataclass(frozen=True)
class Shelf:
    """A prompt, why it was chosen, and its pictures."""

    prompt: str
    task: str
    reason: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; folded texts, by title, open on demand."""

    heading: str
    sentences: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    matrix: Matrix | None = None
    plots: Sequence[Plot] = ()
    shelves: Sequence[Shelf] = ()
    notes: Sequence[str] = ()
    folded: Sequence[tuple[str, str]] = ()
    queries: Sequence[Query] = ()
