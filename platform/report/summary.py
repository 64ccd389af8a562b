"""A study in a few sentences: who wins, how sure that is, and at what cost."""

from collections import Counter
from collections.abc import Iterator, Sequence

from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.queries.views import Row
from bakeoff.platform.tables.leaderboard_table import percent
from bakeoff.platform.tables.verdict_notes import confidence, correction


def summary(board: Leaderboard, failures: Sequence[Row]) -> Iterator[str]:
    """Yield the sentences, by win rates against the baseline; failures are by kind."""
    images = sum(standing.samples for standing in board.standings)
    prompts = max((standing.prompts for standing in board.standings), default=0)
    yield (
        f"{len(board.standings)} entries made {images} images of up to {prompts} prompts each; "
        f"metrics: {', '.join(info.name for info in board.metrics) or 'none'}."
    )
    left = sum(row["samples"] - row["mended"] for row in failures)
    if left:
        yield f"{left} failures were not mended by a later try; they are in no other number below."
    judged = [one for one in board.standings if one.comparison and one.comparison.decision]
    rivals = [one for one in judged if not one.is_control]
    if not rivals:
        yield "Nothing is decided: no entry shares a scored prompt with the baseline."
        return
    best = max(rivals, key=lambda one: (_verdict(one) == "better", _win_rate(one)))
    yield from _of_the_best(board, best)
    counts = Counter(_verdict(one) for one in rivals)
    told = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("better", "worse", "equivalent", "undecided")
    )
    yield f"Of {len(rivals)} entries compared with {board.baseline}: {told}."
    for one in judged:
        if one.is_control:
            yield _of_a_control(board, one)


def _of_the_best(board: Leaderboard, best: Standing) -> Iterator[str]:
    wins, decision = best.wins, best.comparison and best.comparison.decision
    assert wins and wins.estimate and decision
    share, interval = percent(wins.estimate)
    numbers = (
        f"{share} % of pairs ({confidence(board)} interval {interval}; n {wins.estimate.prompts} "
        f"prompts; p {decision.p_value:.2g}, {correction(board)})"
    )
    if decision.verdict == "better":
        yield (
            f"{best.entry} beats {board.baseline} on {board.decided_by}, with the highest win rate "
            f"of all that do: {numbers}{_cost(board, best)}."
        )
        return
    yield (
        f"No entry is shown to be better than {board.baseline} on {board.decided_by}. The highest "
        f"win rate is that of {best.entry}, {decision.verdict}: {numbers}{_cost(board, best)}."
    )
    if decision.further_prompts:
        yield f"Some {decision.further_prompts} further prompts would decide it."


def _of_a_control(board: Leaderboard, control: Standing) -> str:
    if _verdict(control) in ("undecided", "equivalent"):
        return f"The A/A control {control.entry} comes out {_verdict(control)}, as it should."
    return (
        f"The A/A control {control.entry} comes out {_verdict(control)} than {board.baseline}, of "
        "which it is a copy: chance, or the comparison is not fair."
    )


def _cost(board: Leaderboard, best: Standing) -> str:
    """Return what the best costs beside the baseline, as far as both were measured."""
    baseline = next(one for one in board.standings if one.entry == board.baseline)
    ratios = []
    alike = (best.device, best.batch_size) == (baseline.device, baseline.batch_size)
    if alike and best.seconds_per_image and baseline.seconds_per_image:
        ratio = best.seconds_per_image / baseline.seconds_per_image
        ratios.append(f"{ratio:.2g} × the seconds")
    # A row-evaluation of one model is not that of another.
    if best.model == baseline.model and best.row_evaluations and baseline.row_evaluations:
        ratio = best.row_evaluations / baseline.row_evaluations
        ratios.append(f"{ratio:.2g} × the row-evaluations")
    return f", at {' and '.join(ratios)} an image" if ratios else ""


def _verdict(standing: Standing) -> str:
    comparison = standing.comparison
    return comparison.decision.verdict if comparison and comparison.decision else ""


def _win_rate(standing: Standing) -> float:
    return standing.wins.estimate.value if standing.wins and standing.wins.estimate else 0.0
