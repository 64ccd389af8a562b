"""DuckDB on the parts of a store, also on those in a bucket."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from glob import escape
from typing import Any

import duckdb
from fsspec import AbstractFileSystem

from bakeoff.platform.store.bucket import Reader, Remote
from bakeoff.platform.store.places import LIBRARIES, Place
from bakeoff.samplers.errors import InputError

# A store is a stranger's: nothing in it may load code or reach variables of this process.
CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
FAILED = "StorageError: "  # before our sentence in what DuckDB raises


def connect() -> duckdb.DuckDBPyConnection:
    """Return an empty database in memory that loads no code."""
    connection = duckdb.connect(":memory:", config=CLOSED)
    connection.register_filesystem(_Bucket())
    return connection


def read_parts(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Place], *, filename: bool = False
) -> duckdb.DuckDBPyRelation:
    """Return the rows of parts, of which there is one at least; queries read what they need.

    With `filename` there is a column of this name more: the part that the row lies in, as text.
    """
    names = [str(part) if isinstance(part, Remote) else escape(str(part)) for part in parts]
    return connection.read_parquet(names, hive_partitioning=False, filename=filename)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise again as it was what a bucket's failure has become within DuckDB.

    Raises:
        InputError: storage failed.
    """
    try:
        yield
    except duckdb.Error as error:
        _, failed, reason = str(error).partition(FAILED)
        if not failed:
            raise
        raise InputError(reason.splitlines()[0]) from error


class _Bucket(AbstractFileSystem):  # type: ignore[misc] # fsspec is untyped
    """What DuckDB asks of a filesystem, answered from buckets.

    DuckDB has no network of its own here: the extension for it would have to be fetched.
    """

    protocol: tuple[str, ...] = tuple(LIBRARIES)
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[int, datetime]] = {}

    def glob(self, path: str, **options: Any) -> list[str]:
        """Return the path itself: a part is asked for by its name, which costs no request."""
        return [path]

    def open(self, path: str, mode: str = "rb", **options: Any) -> Reader:
        """Return a part to read from."""
        assert mode == "rb"
        scheme, _, key = path.partition("://")
        reader = Remote(scheme, key).open()
        self._seen[path] = reader.size, reader.modified
        return reader

    def size(self, path: str) -> int:
        """Return the bytes of a part that has been opened."""
        return self._seen[path][0]

    def modified(self, path: str) -> datetime:
        """Return when an opened part was written, which tells DuckDB whether its cache is good."""
        return self._seen[path][1]
