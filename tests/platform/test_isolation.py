"""A bad item takes no other along, and errors become rows."""

from collections.abc import Sequence

import pytest

from bakeoff.platform.isolation import failure_rows, isolate
from bakeoff.platform.plan import Item, Shard

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
    assert [result for _, result in outcome.done] == [
        [i.sample_id] for i in ITEMS if i != ITEMS[bad]
    ]
    (row,) = failure_rows(SHARD, "generate", outcome.failed, "run")
    assert (row["sample_id"], row["prompt"], row["attempt"]) == (f"id{bad}", f"prompt {bad}", 2)
    assert (row["error_type"], row["message"]) == ("RuntimeError", "poison")


def test_no_items_are_no_work() -> None:
    outcome = isolate([], lambda items: pytest.fail("called without items"))
    assert outcome == ([], [])


def test_a_stop_by_the_user_is_no_failure_of_an_item() -> None:
    def work(items: Sequence[Item]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolate(ITEMS, work)
