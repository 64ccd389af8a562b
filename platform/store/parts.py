"""One part of a table, on this machine or in a bucket: what its footer tells, and its columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bakeoff.platform.store.bucket import StorageError
from bakeoff.platform.store.faults import Fault, damaged, refusal
from bakeoff.platform.store.places import Place, changed, opened
from bakeoff.platform.store.schemas import TABLES


def part_fault(table: str, part: Place) -> Fault | None:
    """Return what is wrong with a part of a table as far as its footer tells.

    Nothing is with one that has vanished: another has taken its place, as in a compaction.

    Raises:
        StorageError: it cannot be asked, which says nothing of what it holds.
    """
    try:
        with opened(part) as file:
            found = pq.read_schema(file)
    except StorageError:
        raise
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        return damaged(part, error)
    if not found.equals(TABLES[table]):
        problem = f"is a foreign part: its columns are not those of the table {table}"
        return Fault(part, problem, True)
    return None


def count_rows(part: Place) -> int:
    """Return the number of a part's rows, as its footer tells it.

    Raises:
        InputError: the part cannot be read, or has vanished.
    """
    with _reading(part) as file:
        return int(pq.read_metadata(file).num_rows)


def read_columns(
    part: Place, columns: Sequence[str], sample_ids: Sequence[str] | None = None
) -> pa.Table:
    """Return columns of a part, of all its rows or of the samples named.

    Raises:
        InputError: the part cannot be read, or has vanished.
    """
    asked = list(columns)
    read = asked if sample_ids is None else list({*asked, "sample_id"})
    with _reading(part) as file:
        # partitioning=None: the metric stands in the part itself, not only in its folder's name
        table = pq.read_table(file, columns=read, partitioning=None)
    if sample_ids is not None:
        table = table.filter(pc.is_in(table["sample_id"], pa.array(sample_ids, pa.string())))
    return table.select(asked)


@contextmanager
def _reading(part: Place) -> Iterator[Any]:
    """Give what Arrow reads a part from, and tell in words what keeps it from that."""
    try:
        with opened(part) as file:
            yield file
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise changed(part) from error
    except (OSError, pa.ArrowException) as error:
        raise refusal(damaged(part, error)) from error
