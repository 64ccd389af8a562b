"""What a reader must know of verdicts: when they are given, and of the entry that was chosen."""

from collections.abc import Iterator

from bakeoff.platform.conclusions.confirmation import Confirmation
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.studies.rule import Stopping


def wins_note(board: Leaderboard, opponent: str) -> str:
    """Say what a win rate counts, and how its interval is made."""
    interval = "Agresti and Min's adjustment."
    if board.stopping:
        interval = (
            "betting, anytime-valid: it holds after each prompt, whatever made the run stop, and "
            f"for the {_comparisons(board)} shown together, in "
            f"{100 * (1 - board.stopping.rule.level):g} % of studies."
        )
    return (
        "wins %: share of pairs of same prompt and seed position in which the entry beats "
        f"{opponent} on {board.decided_by}, a tie counting half; interval by {interval}"
    )


def confidence(board: Leaderboard) -> str:
    """Return how much the limits of win rates hold, in percent."""
    return f"{100 * (1 - board.stopping.rule.level):g} %" if board.stopping else "95 %"


def correction(board: Leaderboard) -> str:
    """Return how p-values and verdicts on win rates allow for others beside them."""
    if board.stopping:
        return "valid at any time and for all comparisons together"
    return "corrected by Holm"


def verdict_note(board: Leaderboard) -> str:
    """Say when a verdict is given, and for how many comparisons it is corrected."""
    if board.stopping:
        within = f", equivalent once it lies within {_margin(board)}" if board.equivalent else ""
        return (
            "verdict: better or worse once the interval of the win rate leaves out 50 %"
            f"{within}; below it after how many prompts that was. undecided otherwise."
        )
    note = (
        "verdict: better or worse where the win rate differs from 50 % with p of at most 5 %, "
        f"corrected by Holm for the {_comparisons(board)} shown. "
    )
    if board.equivalent:
        margin = _margin(board)
        note += f"equivalent where its interval, corrected by Bonferroni, lies within {margin}. "
    return note + (
        "undecided otherwise, with the further prompts that would tell in 80 % of studies if the "
        "entry wins as often as it seems to."
    )


def stopping_notes(board: Leaderboard, stopping: Stopping) -> Iterator[str]:
    """Say that entries were run until decided, and what that does to the other numbers."""
    least, most = min(stopping.asked.values()), max(stopping.asked.values())
    asked = f"{least} to {most}" if least < most else str(most)
    metric = next((info.name for info in board.metrics if info.kind == "image"), "a metric")
    yield (
        f"Run until decided, at an error level of {100 * stopping.rule.level:g} %: entries met "
        f"{board.baseline} on {metric}, prompts in a random order fixed by the study, in rounds, "
        "and no more was made of an entry once it was decided. They were asked for "
        f"{asked} of {stopping.prompts} prompts."
    )
    sets = any(info.kind == "set" for info in board.metrics)
    yield (
        "So entries compare by their wins; their means are of different prompts, and the means' "
        "intervals hold only as if n had been fixed."
        + (" Set metrics also depend on n itself." if sets else "")
    )
    if stopping.open:
        yield f"The run has not ended: {', '.join(stopping.open)} may still be decided."


def _comparisons(board: Leaderboard) -> str:
    return f"{board.family} comparison{'s' * (board.family != 1)}"


def _margin(board: Leaderboard) -> str:
    low, high = (f"{100 * (0.5 + sign * (board.equivalent or 0)):g}" for sign in (-1, 1))
    return f"{low}..{high} %"


def choice_note(found: Confirmation, baseline: str) -> str:
    """Say on which prompts the best entry was chosen, and what the others say of it."""
    best = f"chosen: {found.entry} wins most of {found.candidates} against {baseline}"
    if found.comparison is None:
        return (
            f"{best} on these very prompts, so that part of its lead is luck: 'split: {{chosen: "
            "0.5}' in the study chooses on half of them and confirms on the others."
        )
    rate, decision = found.comparison.wins.estimate, found.comparison.decision
    if rate is None or decision is None:
        return f"{best} on {found.prompts} prompts; the others have no pair to confirm it."
    low, high = (f"{100 * limit:.1f}" for limit in rate.interval or (rate.value, rate.value))
    p_value = "below 0.001" if decision.p_value < 0.001 else f"{decision.p_value:.3f}"
    return (
        f"{best} on {found.prompts} prompts set aside for choosing. The {rate.prompts} others say: "
        f"{100 * rate.value:.1f} % ({low}..{high}), {decision.verdict}, p {p_value}."
    )
