"""What `bakeoff run --dry-run` tells in the place of running: what it costs and can show."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from bakeoff.platform.execution.run import Work

MEGABYTE = 1_000_000
WIN_RATES = (0.55, 0.6, 0.7)  # whose sample sizes are told


def show_estimate(work: "Work", workers: int | None, console: Console) -> None:
    """Print what the work would cost at most; nothing is written and no model is loaded."""
    from bakeoff.platform.execution.estimate import estimate

    shards = work.make_plan().shards(lambda entry, lack: work.batch_size)
    cost = estimate(shards, work.store)
    unknown = "not known: this store holds nothing to measure it by"
    evaluations, seconds, size_bytes = cost.row_evaluations, cost.worker_seconds, cost.size_bytes
    time = f"not known: this store has no profiles of {', '.join(cost.unmeasured)}"
    if seconds is not None:
        time = f"{_hours(seconds)} on one worker"
        if workers and workers > 1:
            time += f", {_hours(seconds / workers)} on {workers}"
    for name, told in (
        ("images", f"{cost.images} to make, {cost.scored} to score"),
        ("row-evaluations", unknown if evaluations is None else f"{evaluations:,}"),
        ("time", time),
        ("pictures", unknown if size_bytes is None else f"{size_bytes / MEGABYTE:.1f} MB"),
        ("files", f"at most {cost.files} before any `bakeoff compact`"),
        *_sample_sizes(work),
    ):
        console.print(f"  {name}: {told}", markup=False)
    if work.rule:
        console.print("  All of this at most: an entry that is decided is not gone on with.")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else str(timedelta(seconds=round(seconds)))


def _sample_sizes(work: "Work") -> Iterator[tuple[str, str]]:
    """Yield how many prompts it takes to see a difference, if there is any to be seen."""
    from bakeoff.evaluators.comparison import POWER, win_sample_size
    from bakeoff.evaluators.statistics import CONFIDENCE

    rivals = len(work.study.entries) - 1
    if not rivals:
        return
    strict = 1 - (1 - CONFIDENCE) / rivals
    sizes = (f"{100 * rate:.0f} %: {win_sample_size(rate, strict):,}" for rate in WIN_RATES)
    family = f", as the strictest of {rivals} comparisons" if rivals > 1 else ""
    yield (
        "prompts to see a win rate of",
        f"{', '.join(sizes)} (in {POWER:.0%} of studies{family}; one seed, no ties); the study "
        f"has {len(work.study.prompts):,}",
    )
