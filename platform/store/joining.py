"""Joined parts: many small parts in one, which takes their place the moment it appears.

A joined part names in its footer the parts that it replaces, each by the hash of its bytes. Readers
leave out a part that is replaced, so that a join that is killed before it has removed the old parts
doubles nothing; one that somebody has written anew since has other bytes, and counts again.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.platform.store.bucket import StorageError
from bakeoff.platform.store.places import Place, each, opened

PREFIX = "part-joined-"
KEY = b"bakeoff.replaces"  # in the footer: JSON, SHA-256 by file name
ROWS_IN_A_GROUP = {"samples": 100}  # pictures are read a few at a time, other tables as a whole


def replaced(parts: Sequence[Place]) -> set[Place]:
    """Return the parts whose rows stand in a joined part among them.

    One that has vanished is: it was removed since another replaces it.
    """
    known = {(part.parent, part.name): part for part in parts}
    found = set()
    for joined in parts:
        if joined.name.startswith(PREFIX):
            for name, digest in _replaces(joined).items():
                old = known.get((joined.parent, name))
                if old and old != joined and _hash_if_there(old) in (digest, None):
                    found.add(old)
    return found


def joined_name(digests: Mapping[str, str]) -> str:
    """Return the file name of the part that replaces others, given their hashes by name."""
    return (
        f"{PREFIX}{sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:24]}.parquet"
    )


def write_joined(
    file: Path, table: str, schema: pa.Schema, parts: Sequence[Place], digests: Mapping[str, str]
) -> None:
    """Write the rows of parts of one table into a file that says what it replaces."""
    rows = pa.concat_tables(list(each(_read, parts)))
    content = rows.cast(schema).replace_schema_metadata({KEY: json.dumps(dict(digests))})
    groups = ROWS_IN_A_GROUP.get(table)
    pq.write_table(content, file, compression="zstd", row_group_size=groups)


def _read(part: Place) -> pa.Table:
    with opened(part) as file:
        return pq.read_table(file, partitioning=None)


def file_hash(part: Place) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    digest = sha256()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _hash_if_there(part: Place) -> str | None:
    try:
        return file_hash(part)
    except FileNotFoundError:
        return None


def _replaces(joined: Place) -> Mapping[str, str]:
    """Return what a footer says; one that says nothing sensible replaces nothing."""
    try:
        with opened(joined) as file:
            found = json.loads((pq.read_metadata(file).metadata or {}).get(KEY, b"{}"))
    except StorageError:
        raise
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return found if isinstance(found, dict) else {}
