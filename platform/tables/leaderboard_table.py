"""A leaderboard as text tables, with notes that say how its numbers are made."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import Comparison
from bakeoff.platform.conclusions.equal_terms import TOLERANCE, Group, Terms
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.tables.folding_table import Column, FoldingTable, Line
from bakeoff.platform.tables.verdict_notes import (
    choice_note,
    stopping_notes,
    verdict_note,
    wins_note,
)

NOTHING = "–"
SHARE = (0.0, 1.0)  # metrics of this range are shown in percent
DECIMALS = 2  # enough for the eye; `--json` has all of them
MOST_PROMPTS = 100_000  # beyond, it does not matter how many further ones would decide
Shown = tuple[str, str]  # a value and what stands below it


def render(board: Leaderboard, *, by_task: bool = False) -> RenderableType:
    """Return the table of a leaderboard, on demand that of its tasks, and the notes."""
    parts: list[RenderableType] = [table_of(board)]
    if by_task and board.decided_by:
        parts += ["", task_table(board)]
    return Stack(*parts, "", _dim(notes_of(board)))


def table_of(board: Leaderboard) -> FoldingTable:
    """Return the table of a leaderboard alone."""
    return FoldingTable(f"Study {board.study}", list(_lines(board)), list(_columns(board)))


def render_groups(board: Leaderboard, groups: Sequence[Group], terms: Terms) -> RenderableType:
    """Return a table for each group, one for entries alone in theirs, and the notes."""
    parts: list[RenderableType] = []
    for table in group_tables(board, groups, terms):
        parts += [table, ""]
    return Stack(*parts, _dim(group_notes(board, groups, terms)))


def group_tables(
    board: Leaderboard, groups: Sequence[Group], terms: Terms
) -> Iterator[FoldingTable]:
    """Yield a table for each group, and one for entries alone in theirs."""
    for group in groups:
        if group.baseline:
            shown = replace(board, baseline=group.baseline, standings=group.standings)
            title = f"Study {board.study}, {group.terms}: wins against {group.baseline}"
            lines = [Line(one.entry, _role(one)) for one in group.standings]
            yield FoldingTable(title, lines, list(_columns(shown)))
    lone = [(group.standings[0], group.terms) for group in groups if not group.baseline]
    if lone:
        shown = replace(board, baseline=None, standings=tuple(one for one, _ in lone))
        title = f"Study {board.study}, alone at their {terms}: nothing to compare with"
        lines = [Line(one.entry, f" {own}") for one, own in lone]
        yield FoldingTable(title, lines, list(_columns(shown)))


def group_notes(board: Leaderboard, groups: Sequence[Group], terms: Terms) -> Iterator[str]:
    """Yield what a reader must know of groups, and of the numbers in them."""
    alike = (
        "equal steps; an autoregressive model takes one a token"
        if terms == "steps"
        else f"row-evaluations within {TOLERANCE[terms]:.0%} of the study's baseline, or of the "
        "model's cheapest entry that is in no group yet"
    )
    order = f"best mean of {board.decided_by} first" if board.decided_by else "in the study's order"
    yield (
        f"Groups: entries of one model with {alike}. Each is ranked by itself, {order}, and "
        "compared with the study's baseline, or where that is not in it with the entry that "
        "differs least from it."
    )
    judged = replace(board, standings=tuple(one for group in groups for one in group.standings))
    yield from notes_of(judged, opponent="its group's baseline")


def number(info: MetricInfo, estimate: Estimate | None) -> Shown:
    """Return a metric's value and interval as people read them.

    Shares are in percent. Others have two digits of the interval's half width, but no more than two
    decimals unless the interval would vanish with them.
    """
    if estimate is None:
        return NOTHING, ""
    if info.range == SHARE:
        return percent(estimate)
    low, high = estimate.interval or (estimate.value, estimate.value)
    half = (high - low) / 2
    first = -math.floor(math.log10(half)) if half > 0 else DECIMALS  # decimals of its first digit
    return _spelled(estimate, max(0, first, min(first + 1, DECIMALS)))


def percent(estimate: Estimate, decimals: int = 0) -> Shown:
    """Return a share and its interval in percent."""
    return _spelled(estimate, decimals, scale=100)


def _spelled(estimate: Estimate, decimals: int, scale: float = 1) -> Shown:
    def spell(value: float) -> str:
        return f"{scale * value:z.{decimals}f}"  # z: no minus before a zero

    interval = estimate.interval
    return spell(estimate.value), "..".join(map(spell, interval)) if interval else ""


def notes_of(board: Leaderboard, opponent: str | None = None) -> Iterator[str]:
    """Yield what a reader must know to read the table: units, intervals, costs, the control.

    `opponent` says whom the entries were compared with, if not with the study's baseline.
    """
    for info in board.metrics:
        unit = "%" if info.range == SHARE else info.unit
        better = "higher" if info.higher_is_better else "lower"
        yield f"{info.name} ({unit}, {better} is better): {info.sentence}"
    yield (
        ("" if _seeds_differ(board) else "n: prompts, one image each. ")
        + "low..high: 95 % interval; the prompt is the unit, several seeds of a prompt are one "
        "cluster. Means: Wilson for yes-or-no scores with one seed a prompt or "
        "prompts that all agree, otherwise the farther "
        "of Student's and Hall's limits on prompt means. Set metrics: leaving out one prompt at a "
        "time."
    )
    if board.stopping:
        yield from stopping_notes(board, board.stopping)
    if board.baseline and board.decided_by:
        yield f"{wins_note(board, opponent or board.baseline)} {_missing(board)}"
        yield verdict_note(board)
        if board.confirmation and opponent is None:
            yield choice_note(board.confirmation, board.baseline)
    yield (
        f"s/img: median over batches{_batches(board)} of text, network, drawing and decoding "
        "time, per image"
        + (" (* first or traced batches only, which are slower)" if _untypical(board) else "")
        + ". row evals: network passes per image, each batch row counted; they compare within a "
        "model only, as a masked one passes over all tokens at once and an autoregressive one over "
        "a position. MB: highest peak memory of a batch, in 10⁶ bytes."
    )
    yield from _way_notes(board)
    if board.unreadable:
        yield f"Not shown, as this installation lacks them: {', '.join(board.unreadable)}."
    yield from _control_notes(board)


def _way_notes(board: Leaderboard) -> Iterator[str]:
    """Yield how transformers ran, unless all in plain float32: other ways make other pixels."""
    ways: dict[str, list[str]] = {}
    for standing in board.standings:
        way = f"{standing.dtype}{', compiled' if standing.compiled else ''}"
        ways.setdefault(way, []).append(standing.entry)
    if ways.keys() - {"None", "float32"}:
        told = "; ".join(f"in {way}: {', '.join(entries)}" for way, entries in ways.items())
        yield f"Transformers ran {told}."


def _missing(board: Leaderboard) -> str:
    missing = {s.entry: s.wins.missing for s in board.standings if s.wins and s.wins.missing}
    if not missing:
        return "No pair lacks a score."
    shown = ", ".join(f"{entry} {count}" for entry, count in missing.items())
    return f"Pairs left out because one side has no score: {shown}."


def _batches(board: Leaderboard) -> str:
    """Return what the measured batches were: alike for all entries, or by entry."""
    kinds: dict[str, list[str]] = {}
    for standing in board.standings:
        if standing.batch_size is not None:
            kind = f"up to {standing.batch_size} images on {standing.device}"
            kinds.setdefault(kind, []).append(standing.entry)
    if len(kinds) <= 1:
        return "".join(f" of {kind}" for kind in kinds)
    told = "; ".join(f"{kind} for {', '.join(entries)}" for kind, entries in kinds.items())
    return f" of an entry's newest run ({told})"


def _untypical(board: Leaderboard) -> bool:
    return any(s.seconds_per_image is not None and not s.is_typical for s in board.standings)


def _seeds_differ(board: Leaderboard) -> bool:
    return any(standing.samples != standing.prompts for standing in board.standings)


def _control_notes(board: Leaderboard) -> Iterator[str]:
    for standing in board.standings:
        if standing.is_control and standing.wins and standing.wins.estimate:
            # with a decimal: [50.3, 61.0] would else look as if it contained 50
            value, interval = percent(standing.wins.estimate, decimals=1)
            undecided = standing.wins.estimate.contains(0.5)
            verdict = (
                "contains 50 %, as it should"
                if undecided
                else f"does NOT contain 50 %: chance does this to {_one_in(board)}; with more "
                "prompts it should pass, or the comparison is not fair"
            )
            yield (
                f"A/A control {standing.entry} is {board.baseline} with other seeds. It wins "
                f"{value} %; the interval {interval} {verdict}."
            )


def _one_in(board: Leaderboard) -> str:
    if board.stopping:
        return f"any entry in {100 * board.stopping.rule.level:g} % of studies at most"
    return "one control in twenty"


def _lines(board: Leaderboard) -> Iterator[Line]:
    """Yield the entries' short names, each model's below a head with its name."""
    above = None
    for standing in board.standings:
        model, slash, recipe = standing.entry.partition("/")
        if slash and model != above:
            yield Line(model, is_head=True)
            above = model
        yield Line(f" {recipe}" if slash else standing.entry, _role(standing))


def _role(standing: Standing) -> str:
    if standing.is_baseline:
        return " baseline"
    if standing.is_control:
        return " A/A control"
    return " chosen" if standing.is_chosen else ""


def _dim(notes: Iterator[str]) -> Text:
    return Text("\n".join(f"• {note}" for note in notes), style="dim")


def _columns(board: Leaderboard) -> Iterator[Column]:
    """Yield the columns of the main table: size, scores, wins, costs."""
    each = board.standings
    if _seeds_differ(board):
        yield Column("images prompts", [(str(s.samples), str(s.prompts)) for s in each])
    else:
        yield Column("n", [(str(s.samples), "") for s in each])
    for info in board.metrics:
        unit = "% " if info.range == SHARE else ""
        heading = f"{info.name.replace('_', ' ')} {unit}{'↑' if info.higher_is_better else '↓'}"
        yield Column(heading, [number(info, s.scores.get(info.name)) for s in each])
    if board.baseline and board.decided_by:
        yield Column("wins %", [_wins(s) for s in each])
        yield Column("verdict", [verdict(s.comparison) for s in each])
    yield from cost_columns(each)


def cost_columns(each: Sequence[Standing]) -> Iterator[Column]:
    """Yield the columns of latency, compute and memory."""
    yield Column("s/img", [(_seconds(s), "") for s in each])
    yield Column("row evals", [(_figure(s.row_evaluations, 1), "") for s in each])
    yield Column("MB", [(_figure(s.peak_memory_bytes, 0, unit=1e6), "") for s in each])


def _wins(standing: Standing) -> Shown:
    wins = standing.wins
    return percent(wins.estimate) if wins and wins.estimate else (NOTHING, "")


def verdict(comparison: Comparison | None) -> Shown:
    """Return what a comparison comes to; below it after, or with, how many prompts (more)."""
    decision = comparison.decision if comparison else None
    if decision is None:
        return NOTHING, ""
    further = decision.further_prompts
    if decision.decided_after:
        return decision.verdict, f"after {decision.decided_after:,}"
    if not further:
        return decision.verdict, ""
    more = f"{further:,}" if further <= MOST_PROMPTS else f"over {MOST_PROMPTS:,}"
    return decision.verdict, f"{more} more"


def _seconds(standing: Standing) -> str:
    seconds = standing.seconds_per_image
    shown = _figure(seconds, 3 if (seconds or 0) < 0.1 else 2)
    return shown if standing.is_typical or seconds is None else shown + "*"


def _figure(value: float | None, decimals: int, unit: float = 1) -> str:
    return NOTHING if value is None else f"{value / unit:.{decimals}f}".removesuffix(".0")


def task_table(board: Leaderboard) -> FoldingTable:
    """Return the means of the deciding metric by task; there must be one."""
    info = next(info for info in board.metrics if info.name == board.decided_by)
    names = dict.fromkeys(task for standing in board.standings for task in standing.tasks)
    columns = [
        Column(name.replace("_", " "), [number(info, s.tasks.get(name)) for s in board.standings])
        for name in names
    ]
    title = f"{info.name} by task" + (" (%)" if info.range == SHARE else "")
    return FoldingTable(title, list(_lines(board)), columns)
