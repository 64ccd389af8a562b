"""Work on a batch in which a bad item takes no other along: errors become rows."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from bakeoff.platform.plan import Item, Shard

Result = TypeVar("Result")
Row = dict[str, Any]


class Failure(NamedTuple):
    """An item that could not be done."""

    item: Item
    error: Exception
    attempt: int


class Outcome(NamedTuple, Generic[Result]):
    """Results with the items that each is for, and the items that failed."""

    done: list[tuple[Sequence[Item], Result]]
    failed: list[Failure]


def isolate(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Result], attempt: int = 1
) -> Outcome[Result]:
    """Do the work on all items at once; if that fails, on each alone."""
    if not items:
        return Outcome([], [])
    try:
        return Outcome([(items, work(items))], [])
    except Exception as error:
        if len(items) == 1:
            return Outcome([], [Failure(items[0], error, attempt)])
    alone = [isolate([item], work, attempt + 1) for item in items]
    return Outcome([d for one in alone for d in one.done], [f for one in alone for f in one.failed])


def or_stopped(work: Callable[[Row], Row], row: Row) -> Row:
    """Return what the work makes of a row; if it cannot, the row with the reason in `stopped`.

    For what is no item's fault, such as a full disk. As exceptions such reasons would lose their
    type on the way back through Ray.
    """
    if row["stopped"]:
        return row
    try:
        return work(row)
    except Exception as error:
        return row | {"stopped": f"{type(error).__name__}: {error}"}


def failure_rows(shard: Shard, stage: str, failures: Sequence[Failure], run_id: str) -> list[Row]:
    """Return rows of the table `failures`."""
    return [
        {
            "sample_id": failure.item.sample_id,
            "model": shard.model,
            "recipe_id": shard.recipe_id,
            "prompt": failure.item.prompt,
            "seed": failure.item.seed,
            "shard_id": shard.shard_id,
            "stage": stage,
            "error_type": type(failure.error).__name__,
            "message": str(failure.error),
            "attempt": failure.attempt,
            "run_id": run_id,
        }
        for failure in failures
    ]
