"""DuckDB over a store: views on its Parquet parts, and named queries from `sql/*.sql`."""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from bakeoff.platform.schemas import TABLES
from bakeoff.platform.store import Store

FOLDER = Path(__file__).parent / "sql"
# Each may build on those before it; every other file in the folder is a query.
VIEWS = (
    "newest_runs",
    "entries",
    "study_metrics",
    "entry_samples",
    "entry_scores",
    "pairs",
    "sample_traces",
)
# A store is a stranger's: nothing in it may load code or reach variables of this process.
CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
STORE_VARIABLE = "BAKEOFF_STORE"  # environment: the store that the dashboard opens
Row = dict[str, Any]


class Views:
    """The tables and views of a store as they were when it was opened.

    A table without parts is there, and empty. Queries may come from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._connection = duckdb.connect(":memory:", config=CLOSED)
        for table, schema in TABLES.items():
            if parts := [str(part) for part in store.parts(table)]:
                rows = self._connection.read_parquet(parts, hive_partitioning=False)
                rows.create_view(table)
            else:
                self._connection.from_arrow(schema.empty_table()).create(table)
        for view in VIEWS:
            self._connection.execute(_sql(view))
        self._connection.execute("SET lock_configuration = true")

    def query(self, name: str, **parameters: Any) -> list[Row]:
        """Return the rows of the query in `sql/NAME.sql`; `$x` in it is the parameter `x`."""
        cursor = self._connection.cursor()
        result = cursor.execute(_sql(name), parameters)
        columns = [column[0] for column in result.description]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def open_views(store: Path | str) -> Views:
    """Return the views of the store in a folder.

    Raises:
        InputError: the folder holds no store that this version can read.
    """
    return Views(Store.open(store))


def fingerprint(store: Path) -> str:
    """Return a text that changes when parts are added to a store or replaced."""
    opened = Store(store)
    stats = [part.stat() for table in TABLES for part in opened.parts(table)]
    return f"{len(stats)} {max((stat.st_mtime_ns for stat in stats), default=0)}"


@cache
def _sql(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
