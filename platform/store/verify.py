"""Verification: is what a store says of itself true?

Broken parts are moved into `STORE/quarantine`, which no reader opens: their rows are then missing,
and what is missing the next run makes again. Nothing is deleted but what killed writers left, and
files of others stay where they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.platform.execution.heartbeat import beating, check_alone
from bakeoff.platform.execution.plan import sample_id
from bakeoff.platform.execution.provenance import new_run_id
from bakeoff.platform.queries.database import connect, read_parts
from bakeoff.platform.store.bucket import StorageError
from bakeoff.platform.store.faults import Fault, damaged
from bakeoff.platform.store.pictures import pixel_hash, readable_picture
from bakeoff.platform.store.places import Place, below, changed, move, opened, place
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store, is_old
from bakeoff.platform.store.verify_orphans import orphans
from bakeoff.platform.studies.benchmarks import Prompt
from bakeoff.samplers.errors import InputError

QUARANTINE = "quarantine"
ROWS_AT_ONCE = 64  # of pictures, so that a part of any size fits memory
# What may be there once only. Traces may be made again; references and failures come in numbers.
KEYS: Mapping[str, Sequence[str]] = {
    "samples": ("sample_id",),
    "scores": ("sample_id", "metric", "metric_version"),
    "traces": ("sample_id", "shard_id", "run_id", "place"),
    "votes": ("vote_id",),
    "runs": ("run_id",),
}
IDENTITY = ("model", "weights_hash", "recipe_id", "benchmark", "seed")
CHECKED = ("sample_id", "prompt_id", "prompt", "image", "pixel_hash", *IDENTITY)
# moved: into quarantine; removed: a killed writer's; left: not ours, or cannot be moved;
# waiting: on its writer, or on the end of a run, which is no fault
Action = Literal["moved", "removed", "left", "waiting"]


class Finding(NamedTuple):
    """A file that is not as it should be, and what was done about it."""

    file: str  # below the store
    problem: str
    action: Action
    told: str  # what was done, and what is left to do

    def __str__(self) -> str:
        return f"{self.file} {self.problem}: {self.told}"


ORPHANS_LATER = Finding(
    "scores",
    "may be of samples that were put aside",
    "waiting",
    "left, for a run may be writing the store; verify again after its end",
)


@dataclass(frozen=True)
class Verdict:
    """What was looked at, and what was found; `rows` counts what is sound, by table."""

    rows: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong: files that are being written are not."""
        return all(finding.action == "waiting" for finding in self.findings)


def verify(path: Place | str) -> Verdict:
    """Check every part of a store, row by row, and put aside what is broken.

    Then what is told of samples that are not stored, unless a run is writing the store.

    Raises:
        InputError: the folder holds no store of this version; nothing in it is touched then. Or a
            part vanished while it was read.
        StorageError: a bucket cannot be read, which says nothing of what it holds.
    """
    store = Store(place(path))
    store.check_format()
    findings = [_leftover(store, file) for file in store.leftovers()]
    broken = list(store.faults())
    findings += [_put_aside(store, fault) for fault in broken]
    unread = {fault.file for fault in broken}
    rows = {}
    for table in TABLES:
        sound = []
        rows[table] = 0
        for part in store.parts(table):
            if part in unread:  # and could not be moved
                continue
            fault, count = check_part(table, part)
            if fault:
                findings.append(_put_aside(store, fault))
            else:
                sound.append(part)
                rows[table] += count
        for fault, count in _doubled(table, sound):
            findings.append(_put_aside(store, fault))
            rows[table] -= count
    if all(finding.action != "left" for finding in findings):  # else samples cannot be told
        for table, finding, count in _orphans_aside(store, findings):
            findings.append(finding)
            rows[table] -= count
    return Verdict(rows, tuple(findings))


def check_part(table: str, part: Place) -> tuple[Fault | None, int]:
    """Return what is wrong with a part whose footer is sound, and the number of its rows.

    Raises:
        InputError: it has vanished, or a bucket cannot be read.
    """
    columns = CHECKED if table == "samples" else None
    rows = 0
    try:
        with opened(part) as content, pq.ParquetFile(content) as file:
            told = file.metadata.num_rows
            for batch in file.iter_batches(ROWS_AT_ONCE if columns else 65536, columns=columns):
                rows += batch.num_rows
                problem = _wrong_rows(table, part, batch)
                if problem:
                    return Fault(part, problem, True), 0
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise changed(part) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        return damaged(part, error), 0
    if rows != told:
        return Fault(part, f"holds {rows} rows and says that it holds {told}", True), 0
    return None, rows


def _wrong_rows(table: str, part: Place, batch: pa.RecordBatch) -> str | None:
    """Return what is wrong with the first wrong row of a batch."""
    if table == "samples":
        problems = (_wrong_sample(row) for row in batch.to_pylist())
        return next((problem for problem in problems if problem), None)
    if table == "scores":
        metrics = {f"metric={name}" for name in batch["metric"].to_pylist()}
        if metrics != {part.parent.name}:
            return f"holds scores of {', '.join(sorted(metrics))}, not those of its folder"
    if table == "votes":
        strange = set(batch["result"].to_pylist()) - {1.0, 0.5, 0.0}
        if strange:
            return f"holds a vote of result {strange.pop()}, which is none of 1, 0.5 and 0"
    return None


def _wrong_sample(row: Mapping[str, Any]) -> str | None:
    prompt = Prompt(row["prompt_id"], row["prompt"], task="")
    identity = sample_id(prompt=prompt, **{name: row[name] for name in IDENTITY})
    if row["sample_id"] != identity:
        return f"holds a sample {row['sample_id']!r} that by what made it is {identity!r}"
    picture = readable_picture((row["image"] or {}).get("bytes"))
    if picture is None:
        return f"holds a picture that cannot be read, of sample {identity}"
    if pixel_hash(np.asarray(picture)) != row["pixel_hash"]:
        return f"holds a picture of other pixels than its hash says, of sample {identity}"
    return None


def _doubled(table: str, parts: Sequence[Place]) -> Iterator[tuple[Fault, int]]:
    """Yield the parts with rows that another, or they themselves, hold already, and their rows."""
    if table not in KEYS or not parts:
        return
    known = {str(part): part for part in parts}
    for name, doubled, count in _count_doubled(KEYS[table], parts):
        yield Fault(known[name], f"holds {doubled} rows that are stored already", True), count


def _count_doubled(keys: Sequence[str], parts: Sequence[Place]) -> list[tuple[str, int, int]]:
    """Return the names of parts with doubled rows, the number of these and of all rows.

    Raises:
        InputError: a part has vanished.
    """
    with connect() as connection, _vanished(parts):
        read_parts(connection, parts, filename=True).create_view("stored")
        # identifiers are this module's own; of equal rows those of the first part by name stay
        found: list[tuple[str, int, int]] = connection.execute(
            f"""
            SELECT filename, count(*) FILTER (WHERE number > 1) AS doubled, count(*)
            FROM (
                SELECT
                    filename,
                    row_number() OVER (PARTITION BY {", ".join(keys)} ORDER BY filename) AS number
                FROM stored
            )
            GROUP BY filename
            HAVING doubled > 0
            ORDER BY filename
            """
        ).fetchall()
    return found


@contextmanager
def _vanished(parts: Sequence[Place]) -> Iterator[None]:
    """Tell of a part that has vanished where DuckDB has its own words for it."""
    try:
        yield
    except duckdb.IOException as error:
        for part in parts:
            if not part.exists():
                raise changed(part) from error
        raise


def _orphans_aside(store: Store, so_far: Sequence[Finding]) -> list[tuple[str, Finding, int]]:
    """Put aside the parts with rows of samples that are not stored; return each with its rows.

    Of a run's samples the traces come first: while one writes, all stays where it is.
    """
    try:
        check_alone(store.path)
    except InputError:
        has_moved = any(one.action == "moved" and one.file.startswith("samples/") for one in so_far)
        return [("scores", ORPHANS_LATER, 0)] if has_moved else []
    if not any(orphans(store)):  # nothing is written to a sound store, which may be read-only
        return []
    with beating(store.path, f"verify-{new_run_id(datetime.now(UTC))}"):
        return [(one.table, _put_aside(store, one.fault), one.rows) for one in orphans(store)]


def _put_aside(store: Store, fault: Fault) -> Finding:
    """Move a broken part out of the tables; what is not ours stays."""
    file = below(fault.file, store.path)
    if not fault.is_ours:
        return Finding(file, fault.problem, "left", "left alone; move it away, then verify again")
    aside = store.path / QUARANTINE / file
    number = 1
    while aside.exists():  # of an earlier time
        number += 1
        aside = aside.with_name(f"{fault.file.name}.{number}")
    try:
        move(fault.file, aside)
    except OSError as error:
        told = f"left where it is, for it cannot be moved ({error.strerror})"
        return Finding(file, fault.problem, "left", told)
    then = (
        "no run makes votes again"
        if file.startswith("votes/")
        else "the next run makes its rows again"
    )
    told = f"moved to {below(aside, store.path)}; {then}"
    return Finding(file, fault.problem, "moved", told)


def _leftover(store: Store, file: Path) -> Finding:
    name, problem = below(file, store.path), "is unfinished"
    if not is_old(file):
        return Finding(name, problem, "waiting", "left, for somebody may be writing it")
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        told = f"left where it is, for it cannot be removed ({error.strerror})"
        return Finding(name, problem, "left", told)
    return Finding(name, problem, "removed", "removed, for its writer was killed")
