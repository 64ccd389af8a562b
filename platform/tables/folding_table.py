"""A table that goes on below itself where a terminal is too narrow, and never cuts a number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

GAPS = (2, 1)  # between columns: the second where the first asks for another table
NAMES_SHARE = 3  # names take at most a third of the width,
NAMES_LEAST = 16  # or this many columns, and are folded beyond
Cell = tuple[str, str]


@dataclass(frozen=True)
class Line:
    """What a row is called and a dim remark below it; a head has no numbers."""

    name: str
    remark: str = ""
    is_head: bool = False


@dataclass(frozen=True)
class Column:
    """A heading and, for every row that is no head, a value and what stands dim below it."""

    heading: str
    cells: Sequence[Cell]

    @property
    def width(self) -> int:
        """The columns of a terminal that it needs; a heading is broken between words only."""
        words = self.heading.split()
        return max(map(cell_len, (*words, *(text for cell in self.cells for text in cell))))


@dataclass(frozen=True)
class FoldingTable:
    """Rows × columns; columns that do not fit stand in further tables below, names repeated."""

    title: str
    lines: Sequence[Line]
    columns: Sequence[Column]
    named: str = "entry"  # what the lines are

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield as many tables as the width asks for."""
        names = max(cell_len(text) for line in self.lines for text in (line.name, line.remark))
        names = min(names, max(NAMES_LEAST, options.max_width // NAMES_SHARE))
        space = options.max_width - names
        wide, narrow = (list(self._folded(space, gap)) for gap in GAPS)
        gap, groups = (GAPS[0], wide) if len(wide) == len(narrow) else (GAPS[1], narrow)
        title = self.title
        for columns in groups:
            yield self._table(title, names, columns, gap)
            title = f"{self.title}, continued"

    def _folded(self, space: int, gap: int) -> Iterator[list[Column]]:
        """Yield the columns in groups that fit into the space, each at least one."""
        group: list[Column] = []
        used = 0
        for column in self.columns:
            if group and used + gap + column.width > space:
                yield group
                group, used = [], 0
            group.append(column)
            used += gap + column.width
        yield group

    def _table(self, title: str, names: int, columns: Sequence[Column], gap: int) -> Table:
        table = Table(
            title=Text(title), title_justify="left", box=SIMPLE_HEAD, show_edge=False,
            padding=(0, gap - 1, 0, 0), pad_edge=False,  # the box puts a blank between columns
        )  # fmt: skip
        table.add_column(self.named, width=names, overflow="fold")
        for column in columns:
            heading = "\n".join(wrap(column.heading, column.width, break_long_words=False))
            table.add_column(Text(heading), justify="right", overflow="fold")
        for line, cells in self.rows(columns):
            if line.is_head:
                table.add_row(Text(line.name, style="bold"))
            else:
                table.add_row(*map(_two_lines, ((line.name, line.remark), *cells)))
        return table

    def rows(self, columns: Sequence[Column]) -> Iterator[tuple[Line, Sequence[Cell]]]:
        """Yield every line with its cells in some of the columns; a head has none."""
        cells = iter(zip(*(column.cells for column in columns), strict=True))
        for line in self.lines:
            yield line, () if line.is_head else next(cells)


def _two_lines(cell: Cell) -> Text:
    above, below = cell
    return Text(above).append(f"\n{below}", style="dim") if below else Text(above)
