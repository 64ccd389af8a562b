"""Who beats whom on a metric: every entry against every other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bakeoff.evaluators.comparison import Verdict
from bakeoff.platform.conclusions.comparisons import Judgement
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.tables.leaderboard_table import percent
from bakeoff.platform.tables.verdict_notes import confidence, correction

MOST_ENTRIES = 60  # rows and columns; more cannot be read
MARKS: Mapping[Verdict, str] = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": ""}
ABOVE, BELOW = "84 39 136", "179 88 6"  # purple and orange: told apart by the color-blind, too
DEEPEST = 0.6  # opacity of a win rate of 0 or 1; text stays legible on it


class Cell(NamedTuple):
    """How often the row's entry beats the column's, in percent; `told` says all of it."""

    share: str
    mark: str
    tint: str
    prompts: str
    told: str


@dataclass(frozen=True)
class Matrix:
    """Cells by row and column, None where two entries share no prompt or are the same."""

    metric: str
    entries: Sequence[str]
    rows: Sequence[Sequence[Cell | None]]
    prompts: tuple[int, int]  # the least and the most behind a cell
    family: int  # comparisons that verdicts are corrected for
    correction: str  # how
    confidence: str  # of intervals

    @property
    def note(self) -> str:
        """What a reader must know of the cells."""
        least, most = self.prompts
        count = f"n is {least} prompts" if least == most else f"n, {least} to {most} prompts, below"
        return (
            f"▲ better, ▼ worse, = equivalent, no mark undecided; {self.correction}, for these "
            f"{self.family} comparisons. {count}. Point at a cell for its {self.confidence} "
            "interval and p."
        )


def win_matrix(board: Leaderboard, found: Sequence[Judgement]) -> Matrix | None:
    """Return the cells of a study's entries on what decides; None if no two share a prompt."""
    assert board.decided_by is not None
    counts = [one.wins.estimate.prompts for one in found if one.wins.estimate]
    if not counts:
        return None
    least, most = min(counts), max(counts)
    cells = {(one.entry, one.opponent): _cell(one, show_n=least < most) for one in found}
    shown = [standing.entry for standing in board.standings[:MOST_ENTRIES]]
    rows = [[cells.get((entry, opponent)) for opponent in shown] for entry in shown]
    return Matrix(
        board.decided_by,
        shown,
        rows,
        (least, most),
        len(counts) // 2,
        correction(board),
        confidence(board),
    )


def _cell(one: Judgement, *, show_n: bool) -> Cell | None:
    estimate = one.wins.estimate
    if estimate is None or one.decision is None:
        return None
    share, interval = percent(estimate)
    color = ABOVE if estimate.value >= 0.5 else BELOW
    depth = DEEPEST * abs(2 * estimate.value - 1)
    told = (
        f"{one.entry} against {one.opponent}: {share} % ({interval}), n {estimate.prompts}, "
        f"{one.decision.verdict}, p {one.decision.p_value:.2g}"
    )
    return Cell(
        share,
        MARKS[one.decision.verdict],
        f"rgb({color} / {depth:.2f})",
        str(estimate.prompts) if show_n else "",
        told,
    )
