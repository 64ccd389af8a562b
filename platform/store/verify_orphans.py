"""Orphans: what a store says of samples that it does not hold.

A sample that is made again, on another GPU or with another torch, may come out with other pixels,
and nobody would see that its scores are those of the old ones. Scores are written after their
sample, so that a sound store has no orphans; traces are written before, and a killed run may leave
some.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bakeoff.platform.store.faults import Fault
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import NO_DIGESTS, Ids, digests

ABOUT_PIXELS = ("scores", "traces")  # and made again by a run


class Orphaned(NamedTuple):
    """A part with rows of samples that are not stored, and the number of all its rows."""

    table: str
    fault: Fault
    rows: int


def orphans(store: Store) -> Iterator[Orphaned]:
    """Yield the parts of a store that nobody is writing which are not all of stored samples.

    Raises:
        InputError: a part cannot be read.
    """
    stored = _stored(store)
    for table in ABOUT_PIXELS:
        for part, rows in store.read_parts(table, ["sample_id"]):
            ids = rows["sample_id"].unique()
            count = len(ids) - int(stored.hold(digests(ids)).sum())
            if count:
                problem = f"holds {table} of {count} samples that are not stored"
                yield Orphaned(table, Fault(part, problem, True), rows.num_rows)


def _stored(store: Store) -> Ids:
    found = [digests(rows["sample_id"]) for _, rows in store.read_parts("samples", ["sample_id"])]
    return Ids(np.concatenate([NO_DIGESTS, *found]))
