"""However a compaction is disturbed, a store holds the same rows as before, once each."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.execution.heartbeat import beating
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.store import joining, parts
from bakeoff.platform.store import store as stores
from bakeoff.platform.store import verify as verifying
from bakeoff.platform.store.compact import compact
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import verify
from bakeoff.samplers.errors import InputError
from tests.small_store import SmallStore

SAMPLES = 12


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    small = SmallStore(tmp_path / "store")
    small.run(SAMPLES)
    for number in range(SAMPLES):
        small.shard(f"shard-{number}", [number])
        small.vote(f"vote-{number}", number, 0)
    return small


def rows(place: Path) -> dict[str, list]:
    """Return every row of every table, in an order of its own."""
    store = Store.open(place)
    return {
        table: sorted(map(repr, store.read(table, schema.names).to_pylist()))
        for table, schema in TABLES.items()
    }


def part_names(small: SmallStore, table: str) -> list[str]:
    return [part.name for part in small.store.parts(table)]


def test_small_parts_become_one_with_the_same_rows(small: SmallStore) -> None:
    before = rows(small.path)
    told = {one.table: one for one in compact(small.store)}
    for table in ("samples", "votes"):
        assert (told[table].parts_before, told[table].parts_after) == (SAMPLES, 1)
    (name,) = part_names(small, "samples")
    assert name.startswith("part-joined-")
    assert len(list((small.path / "samples").iterdir())) == 1
    assert rows(small.path) == before
    assert verify(small.path).is_sound
    assert open_views(small.path).query("studies")


def test_parts_are_as_large_as_asked_for(small: SmallStore) -> None:
    sizes = [part.stat().st_size for part in small.store.parts("samples")]
    compact(small.store, large_bytes=3 * max(sizes))
    parts = small.store.parts("samples")
    assert 1 < len(parts) <= SAMPLES // 3
    assert all(pq.read_metadata(part).num_rows >= 3 for part in parts[:-1])


def test_large_parts_are_left_alone_and_a_second_time_nothing_is_done(small: SmallStore) -> None:
    smallest = min(part.stat().st_size for part in small.store.parts("samples"))
    before = part_names(small, "samples")
    compact(small.store, large_bytes=smallest)
    assert part_names(small, "samples") == before
    compact(small.store)
    joined = {file: file.stat().st_mtime_ns for file in small.path.rglob("*.parquet")}
    compact(small.store)
    assert {file: file.stat().st_mtime_ns for file in small.path.rglob("*.parquet")} == joined


def test_joined_parts_are_joined_again_with_new_ones(small: SmallStore) -> None:
    compact(small.store)
    small.shard("late", [SAMPLES])
    before = rows(small.path)
    compact(small.store)
    assert len(part_names(small, "samples")) == 1
    assert rows(small.path) == before


def test_each_metric_keeps_its_folder(small: SmallStore) -> None:
    other = {"metric": "clip_score", "metric_version": "1", "value": 0.5}
    for number in range(2):
        score = {**other, "sample_id": small.sample(number)["sample_id"]}
        small.store.write("scores", f"clip-{number}", [score])
    compact(small.store)
    folders = [part.parent.name for part in small.store.parts("scores")]
    assert folders == ["metric=clip_score", "metric=composition"]
    assert verify(small.path).is_sound


# One process that imports once, and a child of it for each store, killed before its n-th step.
KILLED = """
import os, signal, sys
from pathlib import Path
from bakeoff.platform.store.compact import compact
from bakeoff.platform.store.store import Store

def killed_before(step):
    calls = [0]
    def counted(call):
        def killing(*arguments, **options):
            if calls[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            calls[0] += 1
            return call(*arguments, **options)
        return killing
    for name in ("replace", "unlink"):  # what changes the files that readers may see
        setattr(Path, name, counted(getattr(Path, name)))

for place in sys.argv[1:]:
    child = os.fork()
    if not child:
        killed_before(int(place.rsplit("-", 1)[1]))
        compact(Store.open(place))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_kill_at_any_step_loses_and_doubles_nothing(small: SmallStore, tmp_path: Path) -> None:
    before = rows(small.path)
    places = [tmp_path / f"killed-{step}" for step in (2, 5, 6, 9, 25)]
    for place in places:
        shutil.copytree(small.path, place)
    command = [sys.executable, "-c", KILLED, *map(str, places)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.stdout.split() == [str(-signal.SIGKILL)] * len(places), killed.stderr
    for place in places:
        assert rows(place) == before
        assert [one for one in verify(place).findings if one.action != "waiting"] == []
        compact(Store(place))
        assert rows(place) == before
        for leftover in Store(place).leftovers():
            os.utime(leftover, (0, 0))
        Store(place).create()
        assert len(list((place / "samples").iterdir())) == 1


def test_a_part_written_anew_counts_beside_the_one_that_replaced_it(small: SmallStore) -> None:
    compact(small.store)
    small.store.write("profiles", "shard-0", [{"shard_id": "shard-0", "stage": "network"}])
    small.store.write("profiles", "shard-1", [{"shard_id": "shard-1", "stage": "network"}])
    compact(small.store)
    small.store.write("profiles", "shard-0", [{"shard_id": "shard-0", "stage": "decode"}])
    stages = small.store.read("profiles", ["stage"])["stage"].to_pylist()
    assert sorted(stages) == ["decode", "network", "network"]


def test_a_footer_of_nonsense_replaces_nothing(small: SmallStore) -> None:
    part = small.store.parts("samples")[0]
    names = part_names(small, "samples")
    for told in (b"[1]", b"{", b'{"../runs": 1, "part-shard-1.parquet": null}'):
        table = pq.read_table(part, partitioning=None)
        other = part.with_name("part-joined-0.parquet")
        pq.write_table(table.replace_schema_metadata({b"bakeoff.replaces": told}), other)
        assert set(part_names(small, "samples")) == {*names, other.name}


def test_a_store_at_work_is_refused(small: SmallStore) -> None:
    before = {file: file.read_bytes() for file in small.path.rglob("*") if file.is_file()}
    with (
        beating(small.path, small.run_id, every_seconds=0.1),
        pytest.raises(InputError, match="is being written by run run-1"),
    ):
        compact(small.store)
    assert {f: f.read_bytes() for f in small.path.rglob("*") if f.is_file()} == before
    compact(small.store)


def test_a_worker_that_told_of_work_and_died_does_not_block(small: SmallStore) -> None:
    WorkerLog(small.store, small.run_id, "sample", "cpu").begin("shard", 3)
    assert compact(small.store)


def compacted_before(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    """Let a compaction come and go just before the first call of a function."""
    call = getattr(owner, name)

    def late(*arguments: object) -> object:
        monkeypatch.setattr(owner, name, call)
        compact(small.store)
        return call(*arguments)

    monkeypatch.setattr(owner, name, late)


def test_a_compaction_between_listing_and_footers_is_no_damage(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compacted_before(small, monkeypatch, stores, "part_fault")
    assert Store.open(small.path).count("samples") == SAMPLES


@pytest.mark.parametrize(
    ("owner", "name", "read"),
    [
        (stores, "count_rows", lambda store: store.count("samples")),
        (parts, "opened", lambda store: store.read("samples", ["sample_id"])),
        (verifying, "check_part", lambda store: verify(store.path)),
        (verifying, "_count_doubled", lambda store: verify(store.path)),
    ],
)
def test_who_reads_what_a_compaction_takes_away_is_told_to_ask_again(
    small: SmallStore,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    read: Callable[[Store], object],
) -> None:
    compacted_before(small, monkeypatch, owner, name)
    with pytest.raises(InputError, match=r"\.parquet was changed while it was read: ask again"):
        read(small.store)
    read(small.store)


def test_a_part_that_vanishes_while_it_is_hashed_is_one_that_is_replaced(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:  # before it has removed what it joined
        killed.setattr(Store, "remove_replaced", lambda self, table: None)
        compact(small.store)
    compacted_before(small, monkeypatch, joining, "file_hash")
    assert small.store.count("samples") == SAMPLES
    assert len(list((small.path / "samples").iterdir())) == 1


def test_a_run_that_comes_meanwhile_stops_the_compaction(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    join: Callable = Store.join

    def late(self: Store, table: str, parts: list[Path]) -> Path:
        Store(small.path).claimed(f"run-{datetime.now(UTC)}")
        return join(self, table, parts)

    before = rows(small.path)
    monkeypatch.setattr(Store, "join", late)
    with pytest.raises(InputError, match="was claimed by a later run"):
        compact(small.store)
    assert rows(small.path) == before


def test_the_command_tells_of_each_table(small: SmallStore) -> None:
    result = CliRunner().invoke(app, ["compact", str(small.path)])
    assert result.exit_code == 0
    assert f"samples: {SAMPLES} parts are now 1 (0.0 MB)" in result.stdout
