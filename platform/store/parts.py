"""One part of a table, on this machine or in a bucket: what its footer tells, and its columns."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bakeoff.platform.store.bucket import StorageError
from bakeoff.platform.store.faults import Fault, damaged, refusal
from bakeoff.platform.store.places import Place, opened
from bakeoff.platform.store.schemas import TABLES


def part_fault(table: str, part: Place) -> Fault | None:
    """Return what is wrong with a part of a table as far as its footer tells.

    Raises:
        StorageError: it cannot be asked, which says nothing of what it holds.
    """
    try:
        with opened(part) as file:
            found = pq.read_schema(file)
    except StorageError:
        raise
    except (OSError, pa.ArrowException) as error:
        return damaged(part, error)
    if not found.equals(TABLES[table]):
        problem = f"is a foreign part: its columns are not those of the table {table}"
        return Fault(part, problem, True)
    return None


def count_rows(part: Place) -> int:
    """Return the number of a part's rows, as its footer tells it."""
    with opened(part) as file:
        return int(pq.read_metadata(file).num_rows)


def read_columns(
    part: Place, columns: Sequence[str], sample_ids: Sequence[str] | None = None
) -> pa.Table:
    """Return columns of a part, of all its rows or of the samples named.

    Raises:
        InputError: the part cannot be read.
    """
    asked = list(columns)
    read = asked if sample_ids is None else list({*asked, "sample_id"})
    try:
        with opened(part) as file:
            # partitioning=None: the metric stands in the part itself, not only in its folder's name
            table = pq.read_table(file, columns=read, partitioning=None)
    except StorageError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise refusal(damaged(part, error)) from error
    if sample_ids is not None:
        table = table.filter(pc.is_in(table["sample_id"], pa.array(sample_ids, pa.string())))
    return table.select(asked)
