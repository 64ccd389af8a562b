"""Work on a batch in which a bad item takes no other along: errors become rows."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from bakeoff.platform.execution.plan import Item, Shard
from bakeoff.platform.execution.profiling import release_memory

TRIES = 3  # of an item alone; what fails as often stays failed until it is asked for again
OUT_OF_MEMORY = ("can't allocate memory", "ALLOC_FAILED")  # as torch on a CPU and cuBLAS tell it

Result = TypeVar("Result")
Row = dict[str, Any]


class Failure(NamedTuple):
    """An item that could not be done."""

    item: Item
    error: Exception
    attempt: int  # how often it was tried alone; 1 also where no item is to blame


class Outcome(NamedTuple, Generic[Result]):
    """Results with the items that each is for, and the items that failed."""

    done: list[tuple[Sequence[Item], Result]]
    failed: list[Failure]


class BatchLimit:
    """How many items are worked on at once: a batch, or fewer if memory does not hold one.

    That is learnt by running out of it.
    """

    def __init__(self, batch_size: int | None = None) -> None:
        self.items = batch_size  # None: all there are

    def learn(self, too_many: int) -> None:
        """Take half as many from now on."""
        self.items = max(1, min(self.items or too_many, too_many // 2))

    def cut(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        """Return batches that fit."""
        size = self.items or len(items)
        return [items[start : start + size] for start in range(0, len(items), size or 1)]


def isolate(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Result],
    limit: BatchLimit | None = None,
) -> Outcome[Result]:
    """Do the work on all items at once; what fails is halved, down to each item alone.

    An item alone is tried `TRIES` times. A batch that memory does not hold lowers the limit, so
    that the next call starts with what fits.
    """
    limit = limit or BatchLimit()
    outcome: Outcome[Result] = Outcome([], [])
    waiting = limit.cut(items)
    while waiting:
        batch = waiting.pop(0)
        for _ in range(TRIES if len(batch) == 1 else 1):
            if (error := _try(batch, work, outcome)) is None:
                break
        if error is None:
            continue
        if len(batch) == 1:
            outcome.failed.append(Failure(batch[0], error, TRIES))
            continue
        if _out_of_memory(error):
            limit.learn(len(batch))
        half = len(batch) // 2
        waiting = [
            fitting for one in (batch[:half], batch[half:], *waiting) for fitting in limit.cut(one)
        ]
    return outcome


def _try(
    batch: Sequence[Item], work: Callable[[Sequence[Item]], Result], outcome: Outcome[Result]
) -> Exception | None:
    """Add what the work makes of a batch to the outcome, or return why it makes nothing."""
    try:
        outcome.done.append((batch, work(batch)))
        return None
    except Exception as error:
        failed = error
    # Its frames hold tensors, which the next try has no room for. Not before the block is left.
    failed.__traceback__ = failed.__context__ = failed.__cause__ = None
    if _out_of_memory(failed):
        release_memory()
    return failed


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        text in str(error) for text in OUT_OF_MEMORY
    )


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


def failure_rows(
    shard: Shard,
    stage: str,
    failures: Sequence[Failure],
    run_id: str,
    metric_version: str | None = None,
) -> list[Row]:
    """Return rows of the table `failures`; the stage of a metric is its name."""
    return [
        {
            "sample_id": failure.item.sample_id,
            "model": shard.model,
            "recipe_id": shard.recipe_id,
            "prompt": failure.item.prompt,
            "seed": failure.item.seed,
            "shard_id": shard.shard_id,
            "stage": stage,
            "metric_version": metric_version,
            "error_type": type(failure.error).__name__,
            "message": str(failure.error),
            "attempt": failure.attempt,
            "run_id": run_id,
        }
        for failure in failures
    ]
