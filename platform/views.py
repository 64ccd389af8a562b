"""DuckDB over a store: views on its Parquet parts, and named queries from `sql/*.sql`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb

from bakeoff.platform.database import connect, read_parts, storage_errors
from bakeoff.platform.places import Place, place
from bakeoff.platform.schemas import TABLES
from bakeoff.platform.store import Store

FOLDER = Path(__file__).parent / "sql"
# Views, and tables where queries share what takes seconds on millions of rows. Each may build on
# those before it; every other file in the folder is a query.
VIEWS = (
    "newest_runs",
    "entries",
    "entry_seeds",
    "study_metrics",
    "asked_prompts",
    "entry_samples",
    "entry_scores",
    "sample_traces",
)
STORE_VARIABLE = "BAKEOFF_STORE"  # environment: the store that the dashboard opens
Row = dict[str, Any]


class Views:
    """The tables and views of a store as they were when it was opened.

    A table without parts is there, and empty. What queries build on is made when the first of them
    asks for it. Queries may come from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._connection = store, connect()
        for table, schema in TABLES.items():
            if parts := store.parts(table):
                with storage_errors():
                    read_parts(self._connection, parts).create_view(table)
            else:
                self._connection.from_arrow(schema.empty_table()).create(table)
        self._connection.execute("SET lock_configuration = true")
        self._made: set[str] = set()
        self._making = Lock()

    def query(self, name: str, **parameters: Any) -> list[Row]:
        """Return the rows of the query in `sql/NAME.sql`; `$x` in it is the parameter `x`.

        Raises:
            InputError: a part is damaged, or the store lies in a bucket, which cannot be read.
        """
        with self._damage_named(), storage_errors():
            with self._making:
                self._make_what(_sql(name), VIEWS)
            cursor = self._connection.cursor()
            result = cursor.execute(_sql(name), parameters)
            columns = [column[0] for column in result.description]
            return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Name the part that a query cannot read; one may be damaged behind its footer."""
        try:
            yield
        except duckdb.Error:
            for table, schema in TABLES.items():
                columns = [name for name in schema.names if name != "image"]
                for _ in self._store.read_parts(table, columns):
                    pass
            raise

    def _make_what(self, text: str, views: Sequence[str]) -> None:
        """Make those of the views that a text names and that are not there yet."""
        for number, view in enumerate(views):
            if view not in self._made and re.search(rf"\b{view}\b", text):
                self._make_what(_sql(view), views[:number])
                # a cursor: the connection itself draws progress bars where Python is interactive
                self._connection.cursor().execute(_sql(view))
                self._made.add(view)


def open_views(store: Place | str) -> Views:
    """Return the views of the store in a folder or bucket.

    Raises:
        InputError: the folder holds no store that this version can read.
    """
    return Views(Store.open(store))


def fingerprint(store: Place | str) -> str:
    """Return a text that changes when parts are added to a store or replaced.

    Raises:
        InputError: the text names no place, or a bucket that cannot be read.
    """
    return Store(place(store)).fingerprint()


@cache
def _sql(name: str) -> str:
    """Return the code of a file, without comments: they may name what the code does not need."""
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("--"))
