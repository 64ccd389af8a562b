"""Compaction: many small parts become few large ones, which are faster to list and to read."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bakeoff.platform.provenance import new_run_id
from bakeoff.platform.schemas import TABLES
from bakeoff.platform.status import status
from bakeoff.platform.store import Store
from bakeoff.samplers.errors import InputError

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

    The store is claimed meanwhile: a run that goes on stops, which is why a store that is being
    written is refused.

    Raises:
        InputError: a run is at work in the store, or claims it meanwhile, or it cannot be written.
    """
    refuse_busy(store)
    mine = store.claimed(f"compact-{new_run_id(datetime.now(UTC))}")
    return [_compact(mine, table, large_bytes) for table in TABLES if table not in REWRITTEN]


def refuse_busy(store: Store) -> None:
    """Check that no worker told lately that it is at work.

    Raises:
        InputError: one did.
    """
    for study in status(store):
        for worker in study.workers:
            if worker.is_alive and worker.at_work:
                raise InputError(
                    f"store {store.path} is being written: run {study.run_id} is at work, its "
                    f"worker {worker.worker} told so {worker.silent_seconds:.0f} s ago; wait for "
                    "its end, or stop it"
                )


def _compact(store: Store, table: str, large_bytes: int) -> Compacted:
    store.remove_replaced(table)  # of a compaction that was killed
    before = store.parts(table)
    for parts in _groups(before, large_bytes):
        store.join(table, parts)
    after = store.parts(table)
    size_bytes = sum(part.stat().st_size for part in after)
    return Compacted(table, len(before), len(after), size_bytes)


def _groups(parts: Sequence[Path], large_bytes: int) -> Iterator[list[Path]]:
    """Yield small parts of one folder that make a large one together, and what remains of each."""
    folders: dict[Path, list[Path]] = {}
    for part in parts:
        if part.stat().st_size < large_bytes:
            folders.setdefault(part.parent, []).append(part)
    for small in folders.values():
        group: list[Path] = []
        size_bytes = 0
        for part in small:
            group.append(part)
            size_bytes += part.stat().st_size
            if size_bytes >= large_bytes:
                yield group
                group, size_bytes = [], 0
        if len(group) > 1:
            yield group
