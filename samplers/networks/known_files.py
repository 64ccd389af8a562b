"""What is known of large files from an earlier look: their hashes, and what was proven of them.

Twenty gigabytes take a minute to read, and every process of every run asks for their hash. A hash
is kept in the user's cache until the file's size, times of change or inode are others. The time of
its last change of any kind (ctime) cannot be set by anybody, so a file that was changed and given
its old date is read again; one that changed a moment ago is not remembered, as it may change once
more within the clock's grain. Proofs are kept by hashes, which never come to mean anything else.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from bakeoff.samplers.cache import cache_folder

SMALL_BYTES = 16 * 2**20  # files below are read again as fast as a note on them
SETTLED_NS = 2_000_000_000  # from the last change on, for times to tell another one apart


def hash_file(file: Path) -> str:
    """Return the sha256 (hex) of a file's content; a large one is read once until it changes.

    Raises: OSError if the file cannot be read.
    """
    file = file.resolve()
    return _hash(file, *_state(file))


@cache
def _hash(file: Path, *state: int) -> str:
    if state[0] < SMALL_BYTES:
        return _read(file)
    note = cache_folder("hashes") / f"{hashlib.sha256(os.fsencode(file)).hexdigest()}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["file"] == str(file) and noted["state"] == list(state):
            return str(bytes.fromhex(noted["sha256"]).hex())
    settled = time.time_ns() - max(state[1:3]) > SETTLED_NS
    found = _read(file)
    if settled and _state(file) == state:
        _write(note, json.dumps({"file": str(file), "state": state, "sha256": found}))
    return found


def _state(file: Path) -> tuple[int, ...]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_proven(claim: str) -> bool:
    """Whether a claim was noted by `note_proven`; it must name what it is about by hashes."""
    return _proof(claim).exists()


def note_proven(claim: str) -> None:
    """Note a claim for all later processes."""
    _write(_proof(claim), claim)


def _proof(claim: str) -> Path:
    return cache_folder("proofs") / hashlib.sha256(claim.encode()).hexdigest()


def _write(file: Path, text: str) -> None:
    """Write a note whole or not at all; without a cache everything is looked at again."""
    passing = file.with_name(f"{file.name}.{uuid4().hex[:8]}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        passing.write_text(text, encoding="utf-8")
        passing.replace(file)
