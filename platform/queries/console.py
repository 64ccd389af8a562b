"""A stranger's SELECT over a snapshot: in a process of its own, locked down, with limits.

The process has the snapshot, which is read-only and holds no pictures, and nothing else: DuckDB
without access to files, network and extensions, then limits of the operating system below it.
"""

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from bakeoff.samplers.errors import InputError

LONGEST_QUERY = 20_000  # characters
LONGEST_REFUSAL = 1_000  # characters: an error may quote what a query made up
GRACE_SECONDS = 20.0  # to start and to answer on a busy machine, beside the query's own seconds
ROWS_AT_ONCE = 100  # turned into Python's values, so that rows of long texts fit memory
LIBRARIES_BYTES = 1_000_000_000  # of addresses, most of them only reserved
LARGEST_INTEGER = 2**63 - 1  # what tables of the browser hold
LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "access_mode": "read_only",
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "threads": 1,
}
Cell = str | bool | int | float | None


@dataclass(frozen=True)
class Limits:
    """What a query may take, and how much of its answer is kept."""

    seconds: float = 10.0
    memory_bytes: int = 1_000_000_000
    rows: int = 10_000
    columns: int = 200
    cell_characters: int = 2_000
    answer_characters: int = 20_000_000


@dataclass(frozen=True)
class Answer:
    """Rows of plain values, cut at the limits; no two columns share a name."""

    columns: list[str]
    rows: list[list[Cell]]
    is_cut: bool  # more rows than the limit, or longer texts
    seconds: float


def ask(snapshot: Path, sql: str, limits: Limits | None = None) -> Answer:
    """Return what a SELECT says of a snapshot, from a process of its own.

    Raises:
        InputError: it is no single SELECT, is wrong, or takes more than it may.
    """
    limits = limits or Limits()
    if len(sql) > LONGEST_QUERY:
        raise InputError(f"query has {len(sql)} characters: {LONGEST_QUERY} are allowed")
    request = {"snapshot": str(snapshot), "sql": sql, "limits": asdict(limits)}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "bakeoff.platform.queries.console"],
            input=json.dumps(request).encode(),
            capture_output=True,
            env={},
            cwd="/",
            timeout=limits.seconds + GRACE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _too_slow(limits) from None
    if done.returncode:
        raise InputError("query took more memory or time than it may, and its process was ended")
    told = json.loads(done.stdout)
    if "refused" in told:
        raise InputError(told["refused"])
    return Answer(**told)


def answer(snapshot: str, sql: str, limits: Limits) -> Answer:
    """Return the same from this process, within DuckDB's own limits alone.

    Raises:
        InputError: as `ask`, as far as DuckDB sees it.
    """
    config = LOCKED | {"memory_limit": f"{limits.memory_bytes}B"}
    try:
        with duckdb.connect(snapshot, config=config) as connection:
            connection.execute("SET lock_configuration = true")
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise InputError("query must be one SELECT statement")
            timer = threading.Timer(limits.seconds, connection.interrupt)
            timer.daemon = True
            timer.start()
            start = time.perf_counter()
            try:
                columns, rows, is_cut = _read(connection.execute(statements[0]), limits)
            finally:
                timer.cancel()
            return Answer(columns, rows, is_cut, time.perf_counter() - start)
    except duckdb.InterruptException:
        raise _too_slow(limits) from None
    except duckdb.Error as error:
        sentence = str(error).partition("\n\n")[0].replace("\n", " ")
        raise InputError(sentence[:LONGEST_REFUSAL]) from None


def _too_slow(limits: Limits) -> InputError:
    return InputError(f"query took more than {limits.seconds:g} seconds and was ended")


def _read(
    cursor: duckdb.DuckDBPyConnection, limits: Limits
) -> tuple[list[str], list[list[Cell]], bool]:
    """Return columns, rows, and whether anything was cut."""
    described = cursor.description or ()
    if any("WITH TIME ZONE" in str(column[1]) for column in described):  # as this machine is set
        raise InputError("a time with a zone cannot be shown: cast it to TIMESTAMP")
    columns = _distinct([str(column[0]) for column in described])
    if len(columns) > limits.columns:
        raise InputError(f"query has {len(columns)} columns: {limits.columns} are allowed")
    rows: list[list[Cell]] = []
    left, is_cut = limits.answer_characters, False
    while found := cursor.fetchmany(ROWS_AT_ONCE):
        for row in found:
            if len(rows) == limits.rows or left <= 0:
                return columns, rows, True
            cells = [_cell(value) for value in row]
            texts = [cell for cell in cells if isinstance(cell, str)]
            is_cut = is_cut or any(len(text) > limits.cell_characters for text in texts)
            rows.append(
                [
                    cell[: limits.cell_characters] if isinstance(cell, str) else cell
                    for cell in cells
                ]
            )
            left -= sum(min(len(text), limits.cell_characters) for text in texts)
    return columns, rows, is_cut


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same: a table in the browser has no others."""
    found: list[str] = []
    for name in names:
        new, number = name, 1
        while new in found:
            new, number = f"{name}_{number}", number + 1
        found.append(new)
    return found


def _cell(value: Any) -> Cell:
    """Return a value as JSON has it; dates, lists and what is too large as text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_INTEGER:
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _limit_process(limits: Limits) -> None:
    """Let the system end what DuckDB's own limits let through."""
    seconds = int(limits.seconds + GRACE_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes are no files
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    room = 2 * limits.memory_bytes + LIBRARIES_BYTES  # DuckDB's own, and an answer's in Python
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


def main() -> None:
    """Read a request from the standard input, write its answer or refusal."""
    request = json.load(sys.stdin)
    limits = Limits(**request["limits"])
    _limit_process(limits)
    told: dict[str, Any]
    try:
        told = asdict(answer(request["snapshot"], request["sql"], limits))
    except InputError as error:
        told = {"refused": str(error)}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
