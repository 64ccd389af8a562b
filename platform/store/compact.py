"""Compaction: many small parts become few large ones, which are faster to list and to read."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from bakeoff.platform.execution.heartbeat import beating, check_alone
from bakeoff.platform.execution.provenance import new_run_id
from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.places import Place
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store

LARGE_BYTES = 32_000_000
REWRITTEN = ("failures", "workers")  # their parts are written anew under the same name


class Compacted(NamedTuple):
    """What became of a table."""

    table: str
    parts_before: int
    parts_after: int
    size_bytes: int  # of all its parts, after it


def compact(store: Store, large_bytes: int = LARGE_BYTES) -> list[Compacted]:
    """Join the small parts of a store into parts of at least so many bytes, if there are as many.

    Meanwhile the store is claimed and gives signs of life, as in a run: another that would write it
    is refused, as this is while a run does.

    Raises:
        InputError: a run is writing the store, or claims it meanwhile, or it cannot be written.
    """
    name = f"compact-{new_run_id(datetime.now(UTC))}"
    check_alone(store.path)
    with beating(store.path, name):
        mine = store.claimed(name)
        return [_compact(mine, table, large_bytes) for table in TABLES if table not in REWRITTEN]


def _compact(store: Store, table: str, large_bytes: int) -> Compacted:
    store.remove_replaced(table)  # of a compaction that was killed
    before = store.sizes(table)
    for parts in _groups(before, large_bytes):
        persistently(partial(store.join, table, parts))
    after = store.sizes(table)
    return Compacted(table, len(before), len(after), sum(after.values()))


def _groups(parts: Mapping[Place, int], large_bytes: int) -> Iterator[list[Place]]:
    """Yield small parts of one folder that make a large one together, and what remains of each."""
    folders: dict[Place, list[Place]] = {}
    for part, part_bytes in parts.items():
        if part_bytes < large_bytes:
            folders.setdefault(part.parent, []).append(part)
    for small in folders.values():
        group: list[Place] = []
        size_bytes = 0
        for part in small:
            group.append(part)
            size_bytes += parts[part]
            if size_bytes >= large_bytes:
                yield group
                group, size_bytes = [], 0
        if len(group) > 1:
            yield group
