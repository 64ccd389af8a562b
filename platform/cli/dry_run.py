"""What `bakeoff run --dry-run` tells in the place of running."""

from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from bakeoff.platform.run import Work

MEGABYTE = 1_000_000


def show_estimate(work: "Work", workers: int | None, console: Console) -> None:
    """Print what the work would cost; nothing is written and no model is loaded."""
    from bakeoff.platform.estimate import estimate

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
    ):
        console.print(f"  {name}: {told}", markup=False)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else str(timedelta(seconds=round(seconds)))
