"""DuckDB over a store: views on its Parquet parts, and named queries from `sql/*.sql`."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.platform.queries.database import connect, read_parts, storage_errors
from bakeoff.platform.store.places import Place, place
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store

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
    "shard_parts",
    "entry_batches",
    "entry_scores",
    "sample_traces",
    "study_votes",
)
STORE_VARIABLE = "BAKEOFF_STORE"  # environment: the store that the dashboard opens
KEPT = 8  # of what is made of columns: a metric's scores side by side, no larger than their table
Row = dict[str, Any]
Columns = dict[str, NDArray]
T = TypeVar("T")


class Views:
    """The tables and views of a store as they were when it was opened.

    A table without parts is there, and empty. What queries build on is made when the first of them
    asks for it, or read from a `saved` file of the store in the same state. Queries may come from
    several threads.
    """

    def __init__(self, store: Store, saved: Path | None = None) -> None:
        self.store, self._connection = store, connect()
        for table, schema in TABLES.items():
            named = schema.append(pa.field("filename", pa.string())) if _is_named(table) else schema
            self._connection.from_arrow(named.empty_table()).create(f"no_{table}")
            self.renew(table)
        self._connection.execute("SET lock_configuration = true")
        self._made: set[str] = set()
        self._making, self._keeping = Lock(), Lock()
        self._kept: dict[tuple[Any, ...], Any] = {}
        if saved:
            self._take_up(saved)

    def renew(self, table: str) -> None:
        """Look at the store's parts of a table anew."""
        cursor = self._connection.cursor()
        if parts := self.store.parts(table):
            with storage_errors():
                rows = read_parts(cursor, parts, filename=_is_named(table))
                rows.create_view(table, replace=True)
        else:
            cursor.table(f"no_{table}").create_view(table, replace=True)

    def query(self, name: str, **parameters: Any) -> list[Row]:
        """Return the rows of the query in `sql/NAME.sql`; `$x` in it is the parameter `x`.

        Raises:
            InputError: a part is damaged, or the store lies in a bucket, which cannot be read.
        """
        self.note(name, parameters)
        with self._result(name, parameters) as result:
            columns = [column[0] for column in result.description]
            return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]

    def columns(self, name: str, **parameters: Any) -> Columns:
        """Return the same as arrays by column, for millions of rows without a null.

        Raises:
            InputError: as `query`.
        """
        self.note(name, parameters)
        with self._result(name, parameters) as result:
            return {column: np.asarray(array) for column, array in result.fetchnumpy().items()}

    def kept(self, make: Callable[..., T], *asked: str) -> T:
        """Return what `make` returns of these views and what is asked; what was last asked is kept.

        Threads do not wait for each other: two that ask for what is not there yet both make it.
        """
        key, kept = (make, *asked), self._kept  # never changed, but replaced
        found: T = kept[key] if key in kept else make(self, *asked)
        with self._keeping:
            others = {one: made for one, made in self._kept.items() if one != key}
            self._kept = dict([*others.items(), (key, found)][-KEPT:])
        return found

    def note(self, name: str, parameters: Row) -> None:
        """Hear of a query before it is asked: nothing here, for those who keep count."""

    @contextmanager
    def _result(self, name: str, parameters: Row) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._damage_named(), storage_errors():
            with self._making:
                self._make_what(_sql(name), VIEWS)
            yield self._connection.cursor().execute(_sql(name), parameters)

    def save(self, file: Path) -> None:
        """Write what queries share, and strangers may ask, into a DuckDB file; see `snapshot.sql`.

        Raises:
            InputError: as `query`.
            duckdb.Error: the file cannot be written.
        """
        with self._damage_named(), storage_errors(), self._making:
            self._make_what(_sql("snapshot"), VIEWS)
            cursor = self._connection.cursor()
            cursor.execute(f"ATTACH {_quoted(file)} AS snapshot")
            try:
                cursor.execute(_sql("snapshot"))
            finally:
                cursor.execute("DETACH snapshot")

    def _take_up(self, saved: Path) -> None:
        """Have a saved file's tables in the place of those that would be made."""
        cursor = self._connection.cursor()
        cursor.execute(f"ATTACH {_quoted(saved)} AS saved (READ_ONLY)")
        tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'saved'"
        known = {name for (name,) in cursor.execute(tables).fetchall()}
        for view in known.intersection(VIEWS):
            cursor.execute(f"CREATE VIEW {view} AS FROM saved.{view}")
            self._made.add(view)

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Name the part that a query cannot read; one may be damaged behind its footer."""
        try:
            yield
        except duckdb.Error:
            for table, schema in TABLES.items():
                columns = [name for name in schema.names if name != "image"]
                for _ in self.store.read_parts(table, columns):
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


def _is_named(table: str) -> bool:
    """Return whether rows tell the part that they lie in: a picture is read from its own alone."""
    return table == "samples"


def _quoted(file: Path) -> str:
    """Return a path as SQL spells it."""
    return "'" + str(file).replace("'", "''") + "'"


@cache
def _sql(name: str) -> str:
    """Return the code of a file, without comments: they may name what the code does not need."""
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("--"))
