"""What a reader must know of verdicts: when they are given, and of the entry that was chosen."""

from bakeoff.platform.confirmation import Confirmation
from bakeoff.platform.leaderboard import Leaderboard


def verdict_note(board: Leaderboard) -> str:
    """Say when a verdict is given, and for how many comparisons it is corrected."""
    family = board.family
    note = (
        "verdict: better or worse where the win rate differs from 50 % with p of at most 5 %, "
        f"corrected by Holm for the {family} comparison{'s' * (family != 1)} shown. "
    )
    if board.equivalent:
        low, high = (f"{100 * (0.5 + sign * board.equivalent):g}" for sign in (-1, 1))
        note += (
            f"equivalent where its interval, corrected by Bonferroni, lies within {low}..{high} %. "
        )
    return note + (
        "undecided otherwise, with the further prompts that would tell in 80 % of studies if the "
        "entry wins as often as it seems to."
    )


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
