"""Snapshots: what queries share of a store, as a DuckDB file in the user's cache.

A store of millions of scores takes seconds to be joined; the file that comes of it opens at once,
and is all that strangers' SQL may see. A store itself is never written here.
"""

from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import duckdb

from bakeoff.platform.queries.views import FOLDER, Views
from bakeoff.platform.store.store import Store
from bakeoff.samplers.cache import cache_folder
from bakeoff.samplers.errors import InputError

KEPT = 2  # of each store: what is on the pages, and what is newer


def snapshot_file(store: Store, key: str) -> Path:
    """Return where the snapshot of a store lies, or would lie, in the state that `key` names."""
    code = [file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.sql"))]
    place, state = (
        sha256(repr(told).encode()).hexdigest()[:24]
        for told in (str(store.path.resolve()), (key, code, duckdb.__version__))
    )
    return cache_folder("snapshots") / place / f"{state}.duckdb"


def snapshot(views: Views, key: str) -> Path:
    """Return the snapshot of a store in the state that `key` names; made unless it is there.

    Older ones of the same store are removed.

    Raises:
        InputError: the cache cannot be written, or the store cannot be read.
    """
    file = snapshot_file(views.store, key)
    if file.exists():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _save(views, file)
        _remove_old(file.parent)
    except OSError as error:
        raise InputError(
            f"cache folder {file.parent} cannot be written ({error.strerror}): let XDG_CACHE_HOME "
            "name another"
        ) from error
    return file


def _save(views: Views, file: Path) -> None:
    passing = file.with_name(f"{file.name}.unfinished-{uuid4().hex[:8]}")
    try:
        views.save(passing)
        passing.replace(file)
    finally:
        passing.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    found = sorted(folder.glob("*.duckdb"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in found[KEPT:]:
        file.unlink(missing_ok=True)
