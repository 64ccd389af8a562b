"""Merging: what one store holds and another lacks, into that other; the rest is left alone.

Merging is a set difference, as running is: killed and repeated, it comes to the same rows.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import pyarrow as pa

from bakeoff.platform.execution.heartbeat import beating, check_alone
from bakeoff.platform.execution.provenance import new_run_id
from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import check_part
from bakeoff.samplers.errors import InputError

# What tells rows apart, in the order of writing: samples say that their traces are there, and runs
# that all is. What workers told is news of their own store, and stays there.
KEYS: Mapping[str, Sequence[str]] = {
    "traces": ("sample_id",),
    "scores": ("sample_id", "metric", "metric_version"),
    "references": ("benchmark", "metric", "metric_version"),
    "profiles": ("run_id", "shard_id", "stage"),
    "failures": ("run_id", "shard_id", "sample_id", "stage", "attempt"),
    "samples": ("sample_id",),
    "votes": ("left_sample_id", "right_sample_id", "vote_id"),
    "runs": ("run_id",),
}
GROUPS = ("traces", "references")  # several rows share a key, and lie in one part
ABOUT_PIXELS = ("traces", "scores", "votes")  # of no use beside other pixels
Key = tuple[Any, ...]


class Merged(NamedTuple):
    """What became of a table's rows: added, known already, or left out as of other pixels."""

    table: str
    added: int
    known: int
    left_out: int


class Merge(NamedTuple):
    """What a merge came to; `differing` are samples that both stores hold, of other pixels."""

    tables: tuple[Merged, ...]
    differing: frozenset[str]


def merge(into: Store, other: Store) -> Merge:
    """Write into a store the rows that another has more; of samples in both, its own stay.

    Raises:
        InputError: the stores are one, a part of the other is not what it says, or a run is writing
            the first.
    """
    if into.path.resolve() == other.path.resolve():
        raise InputError(f"store {other.path} cannot be merged into itself: name two stores")
    name = f"merge-{new_run_id(datetime.now(UTC))}"
    check_alone(into.path)
    with beating(into.path, name):
        _check_parts(other)
        mine = into.claimed(name)
        differing = _differing(mine, other)
        return Merge(tuple(_merge(mine, other, table, differing) for table in KEYS), differing)


def _check_parts(store: Store) -> None:
    for table in TABLES:
        for part in store.parts(table):
            fault, _ = check_part(table, part)
            if fault:
                raise InputError(
                    f"store file {part} {fault.problem}; `bakeoff verify {store.path}` puts it "
                    "aside, then merge again"
                )


def _differing(into: Store, other: Store) -> frozenset[str]:
    columns = ["sample_id", "pixel_hash"]
    theirs, own = (
        dict(zip(*(table[name].to_pylist() for name in columns), strict=True))
        for table in (other.read("samples", columns), into.read("samples", columns))
    )
    return frozenset(one for one in theirs.keys() & own.keys() if theirs[one] != own[one])


def _merge(into: Store, other: Store, table: str, differing: frozenset[str]) -> Merged:
    known = set(_keys(into.read(table, KEYS[table]), table))
    added = there = left_out = 0
    for part in other.parts(table):
        rows = other.read_part(part, TABLES[table].names)
        keys = _keys(rows, table)
        useless = [table in ABOUT_PIXELS and not differing.isdisjoint(key) for key in keys]
        fresh = []
        for key, is_useless in zip(keys, useless, strict=True):
            fresh.append(not is_useless and key not in known)
            if table not in GROUPS:
                known.add(key)
        chosen = rows.filter(pa.array(fresh, pa.bool_()))
        # named by its rows: a part of this name may be there with others
        name = sha256(repr(_keys(chosen, table)).encode()).hexdigest()[:24]
        content = chosen.cast(TABLES[table])
        persistently(partial(into.write_table, table, f"merged-{name}", content))
        added, left_out = added + chosen.num_rows, left_out + sum(useless)
        there += rows.num_rows - chosen.num_rows - sum(useless)
    return Merged(table, added, there, left_out)


def _keys(rows: pa.Table, table: str) -> list[Key]:
    return list(zip(*(rows[name].to_pylist() for name in KEYS[table]), strict=True))
