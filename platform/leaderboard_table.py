"""A leaderboard as rich tables, with notes that say how its numbers are made."""

import math
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate, WinRate
from bakeoff.platform.leaderboard import Leaderboard, Standing

NOTHING = "–"
SHARE = (0.0, 1.0)  # metrics of this range are shown in percent


def render(board: Leaderboard, *, by_task: bool = False) -> RenderableType:
    """Return the table of a leaderboard, on demand that of its tasks, and the notes."""
    tables = [_standings(board)]
    if by_task and board.decided_by:
        tables.append(_tasks(board))
    notes = Text("\n".join(f"• {note}" for note in notes_of(board)), style="dim")
    return Group(*tables, notes)


def number(info: MetricInfo, estimate: Estimate | None) -> tuple[str, str]:
    """Return a metric's value and interval as people read them, in percent or to two digits."""
    if estimate is None:
        return NOTHING, ""
    if info.range == SHARE:
        return percent(estimate)
    low, high = estimate.interval or (estimate.value, estimate.value)
    half = (high - low) / 2
    digits = 3 if half <= 0 else min(8, max(0, 1 - math.floor(math.log10(half))))
    interval = f"[{low:.{digits}f}, {high:.{digits}f}]" if estimate.interval else ""
    return f"{estimate.value:.{digits}f}", interval


def percent(estimate: Estimate) -> tuple[str, str]:
    """Return a share and its interval in percent."""
    interval = estimate.interval
    shown = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    return f"{100 * estimate.value:.1f}", shown


def notes_of(board: Leaderboard) -> Iterator[str]:
    """Yield what a reader must know to read the table: units, intervals, costs, the control."""
    for info in board.metrics:
        unit = "%" if info.range == SHARE else info.unit
        better = "higher" if info.higher_is_better else "lower"
        yield f"{info.name} ({unit}, {better} is better): {info.sentence}"
    yield (
        "[low, high] are 95 % intervals; the prompt is the unit, several seeds of a prompt are one "
        "cluster. Means: Wilson for yes-or-no scores with one seed a prompt, Student's t on prompt "
        "means otherwise. Set metrics: leaving out one prompt at a time."
    )
    if board.baseline and board.decided_by:
        yield (
            f"Wins (%): share of pairs of same prompt and seed position in which the entry beats "
            f"{board.baseline} on {board.decided_by}, a tie counting half; interval by Bonett and "
            f"Price's adjustment. {_missing(board)}"
        )
    yield (
        "s/img: median over batches of text, network and decoding time, per image"
        + (" (* first batches only, which are slower)" if _cold(board) else "")
        + ". Row evals: network passes per image, each batch row counted. Memory: highest peak of "
        "a batch."
    )
    if board.unreadable:
        yield f"Not shown, as this installation lacks them: {', '.join(board.unreadable)}."
    yield from _control_notes(board)


def _missing(board: Leaderboard) -> str:
    missing = {s.entry: s.wins.missing for s in board.standings if s.wins and s.wins.missing}
    if not missing:
        return "No pair lacks a score."
    shown = ", ".join(f"{entry} {count}" for entry, count in missing.items())
    return f"Pairs left out because one side has no score: {shown}."


def _cold(board: Leaderboard) -> bool:
    return any(s.seconds_per_image is not None and not s.is_warm for s in board.standings)


def _control_notes(board: Leaderboard) -> Iterator[str]:
    for standing in board.standings:
        if standing.is_control and standing.wins and standing.wins.estimate:
            value, interval = percent(standing.wins.estimate)
            undecided = standing.wins.estimate.contains(0.5)
            verdict = (
                "contains 50 %, as it should"
                if undecided
                else "does NOT contain 50 %: chance does this to one control in twenty; with more "
                "prompts it should pass, or the comparison is not fair"
            )
            yield (
                f"A/A control {standing.entry} is {board.baseline} with other seeds. Its interval "
                f"{value} {interval} {verdict}."
            )


def _standings(board: Leaderboard) -> Table:
    table = _table(f"Study {board.study}")
    table.add_column("images\nprompts", justify="right")
    for info in board.metrics:
        arrow = "↑" if info.higher_is_better else "↓"
        unit = " %" if info.range == SHARE else ""
        table.add_column(f"{info.name.replace('_', ' ')}{unit} {arrow}", justify="right")
    if board.baseline and board.decided_by:
        table.add_column("wins %\nvs baseline", justify="right")
    for heading in ("s/img", "row\nevals", "memory\nMB"):
        table.add_column(heading, justify="right")
    for standing, name in _below_models(table, board):
        label = "baseline" if standing.is_baseline else "A/A control"
        shown = label if standing.is_baseline or standing.is_control else ""
        table.add_row(_two_lines(name, shown), *_cells(board, standing))
    return table


def _table(title: str) -> Table:
    box = SIMPLE_HEAD  # no verticals: they would cost a terminal its last columns
    table = Table(title=Text(title), title_justify="left", box=box, padding=(0, 1, 0, 0))
    table.add_column("entry", no_wrap=True)
    return table


def _below_models(table: Table, board: Leaderboard) -> Iterator[tuple[Standing, str]]:
    """Yield standings with their short names, after a row for each model."""
    above = None
    for standing in board.standings:
        head, slash, recipe = standing.entry.partition("/")
        if slash and head != above:
            table.add_row(Text(head, style="bold"))
            above = head
        yield standing, f"  {recipe}" if slash else standing.entry


def _cells(board: Leaderboard, standing: Standing) -> Iterator[Text]:
    yield _two_lines(str(standing.samples), str(standing.prompts))
    for info in board.metrics:
        yield _two_lines(*number(info, standing.scores.get(info.name)))
    if board.baseline and board.decided_by:
        yield _two_lines(*_wins(standing.wins))
    seconds = standing.seconds_per_image
    yield Text(NOTHING if seconds is None else f"{seconds:.3f}{'' if standing.is_warm else '*'}")
    rows = standing.row_evaluations
    yield Text(NOTHING if rows is None else f"{rows:.1f}".removesuffix(".0"))
    memory = standing.peak_memory_bytes
    yield Text(NOTHING if memory is None else f"{memory / 1e6:.0f}")


def _wins(wins: WinRate | None) -> tuple[str, str]:
    return percent(wins.estimate) if wins and wins.estimate else (NOTHING, "")


def _two_lines(first: str, second: str) -> Text:
    """Return a value above its interval: the table stays narrow enough for a terminal."""
    text = Text(first)
    indent = first[: len(first) - len(first.lstrip())]
    return text.append(f"\n{indent}{second}", style="dim") if second else text


def _tasks(board: Leaderboard) -> Table:
    info = next(info for info in board.metrics if info.name == board.decided_by)
    names = sorted({task for standing in board.standings for task in standing.tasks})
    table = _table(f"{info.name} by task" + (" (%)" if info.range == SHARE else ""))
    for name in names:
        table.add_column(Text(name.replace("_", " ")), justify="right")
    for standing, short in _below_models(table, board):
        cells = (_two_lines(*number(info, standing.tasks.get(name))) for name in names)
        table.add_row(Text(short), *cells)
    return table
