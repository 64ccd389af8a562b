"""A bad item takes no other along, and errors become rows."""

import weakref
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from bakeoff.platform.execution.isolation import TRIES, BatchLimit, Outcome, failure_rows, isolate
from bakeoff.platform.execution.plan import Item, Shard

ITEMS = [Item(f"id{n}", f"p{n}", f"prompt {n}", "task", 7, None) for n in range(4)]
SHARD = Shard("m", "m", "w", "steps=4", "r", "prompts", tuple(ITEMS), ("composition",))


def ids(items: Sequence[Item]) -> list[str]:
    return [item.sample_id for item in items]


def test_good_items_are_done_together() -> None:
    outcome = isolate(ITEMS, ids)
    assert outcome.done == [(ITEMS, ["id0", "id1", "id2", "id3"])]
    assert outcome.failed == []


@pytest.mark.parametrize("bad", [0, 2, 3])
def test_a_bad_item_fails_alone(bad: int) -> None:
    def work(items: Sequence[Item]) -> list[str]:
        if ITEMS[bad] in items:
            raise RuntimeError("poison")
        return ids(items)

    outcome = isolate(ITEMS, work)
    done = [identity for _, result in outcome.done for identity in result]
    assert done == ids([item for item in ITEMS if item != ITEMS[bad]])
    (row,) = failure_rows(SHARD, "generate", outcome.failed, "run")
    assert (row["sample_id"], row["prompt"], row["attempt"]) == (f"id{bad}", f"prompt {bad}", TRIES)
    assert (row["error_type"], row["message"]) == ("RuntimeError", "poison")


def test_an_item_that_fails_by_chance_is_done() -> None:
    tries: list[int] = []

    def work(items: Sequence[Item]) -> list[str]:
        tries.append(len(items))
        if len(tries) < TRIES:
            raise RuntimeError("bad luck")
        return ids(items)

    assert isolate(ITEMS[:1], work) == Outcome([(ITEMS[:1], ["id0"])], [])
    assert tries == [1] * TRIES


def allocate(items: Sequence[Item]) -> list[str]:
    """Fail as torch does on a CPU whose memory holds two items."""
    torch.empty(1 if len(items) <= 2 else 10**16)
    return ids(items)


def test_a_batch_too_large_for_memory_is_halved_and_the_next_starts_small() -> None:
    many, limit, sizes = ITEMS * 4, BatchLimit(), []

    def work(items: Sequence[Item]) -> list[str]:
        sizes.append(len(items))
        return allocate(items)

    for tried in ([16, 8, 4, *[2] * 8], [2] * 8):
        outcome = isolate(many, work, limit)
        assert [identity for _, done in outcome.done for identity in done] == ids(many)
        assert outcome.failed == [] and sizes == tried
        sizes.clear()


def test_another_error_does_not_lower_the_limit() -> None:
    def work(items: Sequence[Item]) -> None:
        raise RuntimeError("poison")

    limit = BatchLimit()
    assert len(isolate(ITEMS, work, limit).failed) == 4
    assert limit.cut(ITEMS) == [ITEMS]


def test_what_a_failed_try_held_is_free_for_the_next() -> None:
    held: list[weakref.ref] = []

    def work(items: Sequence[Item]) -> None:
        assert not any(array() is not None for array in held)
        large = np.zeros(10)
        held.append(weakref.ref(large))
        try:
            raise ValueError("inside")
        except ValueError as error:
            raise RuntimeError("outside") from error

    outcome = isolate(ITEMS, work)
    assert {str(failure.error) for failure in outcome.failed} == {"outside"}


def test_no_items_are_no_work() -> None:
    outcome = isolate([], lambda items: pytest.fail("called without items"))
    assert outcome == ([], [])


def test_a_stop_by_the_user_is_no_failure_of_an_item() -> None:
    def work(items: Sequence[Item]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolate(ITEMS, work)
