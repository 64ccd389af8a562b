"""The store: a folder of Parquet tables that a study writes into and every reader trusts.

Layout: `format.json`, then `TABLE/part-ID.parquet`; scores lie below `scores/metric=NAME/`. A part
appears under its name all at once, by a rename or a single put, and its name follows from the
identity of what it holds, so that a repeated shard overwrites itself. `claim.json` names the run
that may write.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.platform.store.bucket import Remote
from bakeoff.platform.store.faults import Fault, refusal
from bakeoff.platform.store.joining import file_hash, joined_name, replaced, write_joined
from bakeoff.platform.store.parts import count_rows, part_fault, read_columns
from bakeoff.platform.store.places import (
    UNFINISHED,
    File,
    Place,
    below,
    commit,
    each,
    files,
    is_plain,
    place,
)
from bakeoff.platform.store.schemas import FORMAT_VERSION, TABLES
from bakeoff.samplers.errors import InputError

FORMAT_FILE = "format.json"
CLAIM_FILE = "claim.json"  # names the run that may write
UNFINISHED_KEPT_SECONDS = 3600.0  # another driver may be writing a young one
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Store:
    """An opened store. `Store.open` checks that it is one, `create` makes it on disk.

    With a `claim`, the id of a run, it is written to only as long as no later run has claimed it.
    """

    path: Place
    claim: str | None = None

    @classmethod
    def open(cls, path: Place | str) -> "Store":
        """Return the store of a folder that exists, or of a bucket by its URL.

        Raises:
            InputError: the folder holds no store, one of another format version, or a table with a
                foreign or damaged part.
        """
        store = cls(place(path))
        store.check_format()
        for fault in store.faults():
            raise refusal(fault)
        return store

    @classmethod
    def open_or_plan(cls, path: Place | str) -> "Store":
        """Return the store of a folder, which may also be absent or empty; writes nothing.

        Raises:
            InputError: as `open`, or the folder holds something else.
        """
        store = cls(place(path))
        return cls.open(path) if store.exists else store

    @property
    def exists(self) -> bool:
        """Whether there is anything at the path that a new store would have to respect."""
        if self.path.is_dir():
            return any(UNFINISHED not in one.name for one in self.path.iterdir())
        is_link = isinstance(self.path, Path) and self.path.is_symlink()
        return is_link or self.path.exists()

    def create(self) -> None:
        """Make the folder a store, unless it is one, and remove what killed writers left.

        Raises:
            InputError: the folder cannot be written.
        """
        if not (self.path / FORMAT_FILE).exists():
            self._note(FORMAT_FILE, {"format": "bakeoff-store", "version": FORMAT_VERSION})
        for leftover in self.leftovers():
            if is_old(leftover):
                leftover.unlink(missing_ok=True)

    def claimed(self, run_id: str) -> "Store":
        """Return the store as this run's alone to write.

        Workers of a killed run outlive it by a moment: from now on they can add nothing, so that
        what is listed after this is what there is.

        Raises:
            InputError: the folder cannot be written.
        """
        self._note(CLAIM_FILE, {"run_id": run_id})
        return Store(self.path.resolve(), claim=run_id)  # workers may stand in another folder

    def leftovers(self) -> list[Path]:
        """Return the files that somebody is writing, or was when it was killed."""
        if isinstance(self.path, Remote):  # where nothing is until it is whole
            return []
        return sorted(self.path.rglob(f"*{UNFINISHED}*"))

    def faults(self) -> Iterator[Fault]:
        """Yield what keeps the tables from being read, as far as footers tell."""
        for table, found in self._tables().items():
            ours = []
            for file, *_ in found:
                if file == self.path / table:
                    yield Fault(file, f"stands in place of the table {table}", False)
                elif self._is_part(file):
                    ours.append(file)
                else:
                    yield Fault(file, "is no part of a store", False)
            for fault in each(partial(part_fault, table), ours):
                if fault:
                    yield fault

    def parts(self, table: str) -> list[Place]:
        """Return the finished parts of a table that no other replaces, in the order of names."""
        return list(self.sizes(table))

    def sizes(self, table: str) -> dict[Place, int]:
        """Return the bytes of each part of a table, which are those of `parts`."""
        found = {one.place: one.size_bytes for one in self._files(table)}
        ours = [file for file in found if self._is_part(file)]
        gone = replaced(ours)
        return {part: found[part] for part in ours if part not in gone}

    def fingerprint(self, *tables: str) -> str:
        """Return a text that changes when parts of these tables are added or replaced.

        Of all but `votes` if none is named: these come one by one, and change nothing else.
        """
        if tables:
            found = [file for table in tables for file in self._files(table)]
        else:
            listed = self._tables()
            found = [file for table in listed if table != "votes" for file in listed[table]]
        digest = sha256()
        for file in found:
            digest.update(repr(tuple(map(str, file))).encode())
        return digest.hexdigest()

    def write(self, table: str, part_id: str, rows: Sequence[Row]) -> Place | None:
        """Write rows as one part, whole or not at all; no rows make no part.

        Rows of `scores` must share one metric.

        Raises:
            InputError: a later run has claimed the store.
        """
        content = pa.Table.from_pylist(list(rows), schema=TABLES[table])
        return self.write_table(table, part_id, content)

    def write_table(self, table: str, part_id: str, content: pa.Table) -> Place | None:
        """Write a table of the schema as one part; otherwise as `write`."""
        if not content.num_rows:
            return None
        folder = self.path / table
        if table == "scores":
            folder /= f"metric={content['metric'][0].as_py()}"
        target = folder / f"part-{part_id}.parquet"

        def write(file: Path) -> None:
            pq.write_table(content, file, compression="zstd")
            self._check_claim()

        commit(target, write)
        if isinstance(target, Remote):  # a later run may have claimed the store during the put
            self._check_claim(late=target)
        return target

    def join(self, table: str, parts: Sequence[Place]) -> Place:
        """Put one part in the place of several of one folder; killed anywhere, no row is changed.

        Raises:
            InputError: a later run has claimed the store.
        """
        digests = {part.name: file_hash(part) for part in parts}
        target = parts[0].with_name(joined_name(digests))

        def write(file: Path) -> None:
            write_joined(file, table, TABLES[table], parts, digests)
            self._check_claim()

        commit(target, write)
        self.remove_replaced(table)
        return target

    def remove_replaced(self, table: str) -> None:
        """Remove the parts of a table that no reader sees since others replace them.

        Raises:
            InputError: a later run has claimed the store.
        """
        for part in replaced([one.place for one in self._files(table) if self._is_part(one.place)]):
            self._check_claim()
            part.unlink(missing_ok=True)

    def read(self, table: str, columns: Sequence[str]) -> pa.Table:
        """Return columns of a whole table."""
        tables = [rows for _, rows in self.read_parts(table, columns)]
        schema = pa.schema([TABLES[table].field(name) for name in columns])
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def read_parts(self, table: str, columns: Sequence[str]) -> Iterator[tuple[Place, pa.Table]]:
        """Yield columns of a table, part by part in the order of `parts`.

        Raises:
            InputError: a part cannot be read.
        """
        parts = self.parts(table)
        return zip(parts, each(lambda part: self.read_part(part, columns), parts), strict=True)

    def count(self, table: str) -> int:
        """Return the number of rows of a table, as footers tell it."""
        return sum(each(count_rows, self.parts(table)))

    def read_part(
        self, part: Place, columns: Sequence[str], sample_ids: Sequence[str] | None = None
    ) -> pa.Table:
        """Return columns of a part, of all its rows or of the samples named.

        Raises:
            InputError: the part cannot be read.
        """
        return read_columns(part, columns, sample_ids)

    def sample_parts(self) -> dict[str, Place]:
        """Return the part of every stored sample, by sample_id."""
        return {
            sample_id: part
            for part in self.parts("samples")
            for sample_id in self.read_part(part, ["sample_id"])["sample_id"].to_pylist()
        }

    def reference_keys(self) -> set[tuple[str, str, str]]:
        """Return (benchmark, metric, metric_version) of every stored reference set."""
        columns = ["benchmark", "metric", "metric_version"]
        table = self.read("references", columns)
        return set(zip(*(table[name].to_pylist() for name in columns), strict=True))

    def _tables(self) -> dict[str, list[File]]:
        """Return the files of every table, by one listing; also one that stands in its place."""
        found: dict[str, list[File]] = {table: [] for table in TABLES}
        for file in files(self.path):
            table = below(file.place, self.path).partition("/")[0]
            if table in found and UNFINISHED not in file.place.name:
                found[table].append(file)
        return found

    def _files(self, table: str) -> list[File]:
        return [one for one in files(self.path / table) if UNFINISHED not in one.place.name]

    def _is_part(self, file: Place) -> bool:
        """Return whether a file is a part by its name, with folders, whatever it holds."""
        return file.suffix == ".parquet" and is_plain(below(file, self.path))

    def _check_claim(self, late: Remote | None = None) -> None:
        """Check that no later run has claimed the store.

        A part that was put too late is removed: that run has planned without it.
        """
        if self.claim is None:
            return
        text = (self.path / CLAIM_FILE).read_text(encoding="utf-8")
        try:
            holder = json.loads(text)["run_id"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"store {self.path} has an unreadable {CLAIM_FILE}") from error
        if holder != self.claim:
            if late:
                late.unlink(missing_ok=True)
            raise InputError(
                f"store {self.path} was claimed by a later run, {holder}: this run stops, and what "
                "it has finished stays"
            )

    def check_format(self) -> None:
        """Check that the folder says that it is a store of this version.

        Raises:
            InputError: it does not, or it does not exist.
        """
        if not self.exists:
            raise InputError(f"store {self.path} does not exist")
        if not self.path.is_dir():
            raise InputError(f"store {self.path} is a file, not a folder")
        file = self.path / FORMAT_FILE
        if not file.is_file():
            other = sorted(one.name for one in self.path.iterdir())[0]
            raise InputError(
                f"store {self.path} is not a Bakeoff store: it holds {other!r} and no "
                f"{FORMAT_FILE}; name an empty or new folder"
            )
        try:
            version = json.loads(file.read_text(encoding="utf-8"))["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"store {self.path} has an unreadable {FORMAT_FILE}") from error
        if version != FORMAT_VERSION:
            raise InputError(
                f"store {self.path} has format version {version!r}, this Bakeoff reads and writes "
                f"version {FORMAT_VERSION}; name another folder"
            )

    def _note(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content) + "\n"
        try:
            commit(self.path / name, lambda file: file.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"store {self.path} cannot be written ({error.strerror}); name another folder"
            ) from error


def is_old(leftover: Path) -> bool:
    """Return whether an unfinished file is too old for anybody to be writing it still."""
    try:
        return time.time() - leftover.stat().st_mtime > UNFINISHED_KEPT_SECONDS
    except FileNotFoundError:  # finished meanwhile
        return False
