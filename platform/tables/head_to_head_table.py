"""What two entries come to against each other, as tables with their notes."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import Comparison
from bakeoff.platform.conclusions.head_to_head import HeadToHead
from bakeoff.platform.tables.folding_table import Cell, Column, FoldingTable, Line
from bakeoff.platform.tables.leaderboard_table import NOTHING, cost_columns, percent, verdict


def render(found: HeadToHead) -> RenderableType:
    """Return the comparisons, those by task, the costs, and how to read them."""
    first, second = found.sides
    parts: list[RenderableType] = []
    lines = [Line(one.entry, f" {one.metric}") for one in found.comparisons]
    title = f"Study {found.study}: {first} against {second}"
    if lines:
        parts += [FoldingTable(title, lines, list(_columns(found.comparisons))), ""]
    if found.tasks:
        by_task = list(found.tasks.values())
        title = f"{found.decided_by} by task"
        task_lines = [Line(task) for task in found.tasks]
        parts += [FoldingTable(title, task_lines, list(_columns(by_task)), "task"), ""]
    standings = [standing for _, standing in found.costs]
    cost_lines = [Line(name) for name, _ in found.costs]
    parts += [FoldingTable("Costs", cost_lines, list(cost_columns(standings))), ""]
    return Stack(*parts, Text("\n".join(f"• {note}" for note in _notes(found)), style="dim"))


def _columns(each: Sequence[Comparison]) -> Iterator[Column]:
    yield Column("n", [(_count(one), "") for one in each])
    yield Column("wins %", [_wins(one) for one in each])
    yield Column("verdict", [verdict(one) for one in each])
    yield Column("p", [(_p(one.decision.p_value) if one.decision else NOTHING, "") for one in each])
    yield Column("difference", [_difference(one.difference) for one in each])
    yield Column("ρ", [(_correlation(one), "") for one in each])
    yield Column("sign p", [(_p(one.sign_p), "") for one in each])
    yield Column("Wilcoxon p", [(_p(one.wilcoxon_p), "") for one in each])


def _count(one: Comparison) -> str:
    return str(one.wins.estimate.prompts) if one.wins.estimate else "0"


def _wins(one: Comparison) -> Cell:
    return percent(one.wins.estimate, decimals=1) if one.wins.estimate else (NOTHING, "")


def _difference(found: Estimate | None) -> Cell:
    if found is None:
        return NOTHING, ""
    return f"{found.value:+.4f}", "..".join(f"{limit:+.4f}" for limit in found.interval or ())


def _correlation(one: Comparison) -> str:
    return NOTHING if one.correlation is None else f"{one.correlation:.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _notes(found: HeadToHead) -> Iterator[str]:
    made = [one for one in found.comparisons if one.decision]
    yield (
        "n: prompts, of several seeds the mean. wins %: share of pairs of same prompt and seed "
        f"position that {found.sides[0]} wins, a tie counting half. difference: of the means, in "
        "the metric's unit." + ("" if found.level else " Intervals hold 95 %.")
    )
    if found.level:
        yield (
            "The study was run until decided, so that n follows from the scores. Verdict, p and "
            "intervals hold at any time and for all comparisons of their table together, wrongly "
            f"in {100 * found.level:g} % of studies at most. What needs a fixed n is left out."
        )
    else:
        yield (
            f"verdict: on the win rate, p corrected by Holm for the {len(made)} comparisons of the "
            "first table, and among the tasks for all tasks; where undecided, the further prompts "
            "that would tell in 80 % of studies. The sign and Wilcoxon tests stand alone."
        )
    if found.equivalent:
        yield f"equivalent: a win rate within {found.equivalent:g} of one half, by Bonferroni."
    yield "ρ: correlation of both sides' prompt means; unpaired, 1 / (1 - ρ) times the prompts."
    if missing := sum(one.wins.missing for one in found.comparisons):
        yield f"{missing} scores have no pair and are left out."
