"""A bucket is a store like a folder, also on days when one request in twelve fails."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.execution.execution import cluster
from bakeoff.platform.execution.heartbeat import ALIVE_FILE, beating, check_alone
from bakeoff.platform.execution.isolation import or_stopped
from bakeoff.platform.execution.run import carry_out, prepare
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.execution.status import status
from bakeoff.platform.queries.views import fingerprint, open_views
from bakeoff.platform.store import bucket, persistence
from bakeoff.platform.store.bucket import Remote, StorageError
from bakeoff.platform.store.compact import compact
from bakeoff.platform.store.merge import merge
from bakeoff.platform.store.places import Place, below, files, place
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import check_part, verify
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.errors import InputError
from tests.bucket_server import BucketServer, Request, serve
from tests.small_store import SmallStore
from tests.trials import bare_run

STUDY = """
name: trial
benchmark: {name: shapes, limit: 1}
metrics: [composition]
models:
  - path: masked
    recipes:
      vanilla: steps=4 guidance_scale=2
"""
IMAGES = 6


@pytest.fixture(scope="module")
def running() -> Iterator[BucketServer]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: BucketServer) -> Iterator[BucketServer]:
    running.forget()
    yield running
    running.calm()


@pytest.fixture
def impatient(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    """A server whose failures are told soon, and not after a minute."""
    monkeypatch.setattr(persistence, "WAITS_SECONDS", (0.01, 0.01))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    bucket.filesystem.cache_clear()
    yield server
    bucket.filesystem.cache_clear()


@pytest.fixture
def where(server: BucketServer, request: pytest.FixtureRequest) -> Remote:
    """A folder of the test's own."""
    found = place(f"s3://bucket/{request.node.name}")
    assert isinstance(found, Remote)
    return found


@pytest.fixture
def small(where: Remote) -> SmallStore:
    """Four samples in two parts."""
    return fill(where)


def fill(path: Place) -> SmallStore:
    small = SmallStore(path)
    small.run(4)
    small.shard("one", [0, 1])
    small.shard("two", [2, 3])
    return small


def names(path: Place) -> list[str]:
    return [below(one.place, path) for one in files(path)]


def rows(path: Place, table: str, columns: list[str]) -> list[str]:
    return sorted(map(repr, Store.open(path).read(table, columns).to_pylist()))


def invoke(*arguments: str | Place) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.output.split())


def test_a_bucket_holds_what_a_folder_does_and_every_reader_sees_it(
    small: SmallStore, tmp_path: Path
) -> None:
    local = fill(tmp_path / "store")
    assert names(small.path) == names(local.path)
    for table in ("samples", "scores", "runs"):
        columns = small.store.read(table, ["run_id"]).schema.names
        assert rows(small.path, table, columns) == rows(local.path, table, columns)
    assert status(Store.open(small.path))[0].scored == 4
    board = leaderboard(open_views(small.path))
    assert board.standings == leaderboard(open_views(local.path)).standings
    assert board.standings[0].samples == 4


def test_every_reading_verb_takes_a_bucket(small: SmallStore, tmp_path: Path) -> None:
    for verb, *rest in (
        ("status",),
        ("leaderboard",),
        ("verify",),
        ("show", "--out", str(tmp_path / "sheet.png")),
        ("export", str(tmp_path / "tables"), "--to", "csv"),
    ):
        code, told = invoke(verb, small.path, *rest)
        assert code == 0, told
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert len((tmp_path / "tables/samples.csv").read_text().splitlines()) == 5


def test_each_part_is_one_put_of_its_final_key(small: SmallStore, server: BucketServer) -> None:
    puts = [one.key for one in server.requests if one.method in ("PUT", "POST")]
    assert sorted(puts) == [f"{small.path.name}/{name}" for name in names(small.path)]


def test_a_table_is_one_listing(small: SmallStore, server: BucketServer) -> None:
    server.forget()
    assert len(small.store.parts("samples")) == 2
    assert [one.method for one in server.requests] == ["GET"]


def test_scores_are_read_without_the_pictures(where: Remote, server: BucketServer) -> None:
    large = SmallStore(where, side=768)  # a part of less than a megabyte is read as a whole
    large.run(2)
    large.shard("large", [0, 1])
    server.forget()
    assert len(open_views(where).query("scores_by_entry", study="small")) == 1
    ((part, size_bytes),) = large.store.sizes("samples").items()
    sent = server.sent_bytes[f"{where.name}/{below(part, where)}"]
    assert size_bytes > 3e6 and 0 < sent < size_bytes / 5


def test_a_put_that_fails_in_the_middle_leaves_no_part_and_is_tried_again(
    small: SmallStore, impatient: BucketServer
) -> None:
    before = names(small.path)
    impatient.refused = lambda request: request.method == "PUT"
    with pytest.raises(StorageError, match=r"part-three\.parquet: storage failed"):
        small.shard("three", [4])
    assert names(small.path) == before and verify(small.path).is_sound

    persistence.persistently(lambda: small.shard("three", [4]), lambda wait: impatient.calm())
    assert len(small.store.sample_parts()) == 5


def test_reading_goes_on_where_every_request_fails_once(
    small: SmallStore, impatient: BucketServer
) -> None:
    seen = set()

    def is_first(request: Request) -> bool:
        known = request in seen
        seen.add(request)
        return not known

    impatient.refused = is_first
    assert len(small.store.sample_parts()) == 4 and len(seen) > 2


def test_broken_parts_are_put_aside_and_no_other_with_them(small: SmallStore) -> None:
    part = small.path / "samples/part-one.parquet"
    content = part.read_bytes()
    part.write_text("PAR1")
    (small.path / "samples/part-*.parquet").write_text("PAR1")
    (small.path / "samples/notes.txt").write_text("mine")
    (small.path / "traces").write_text("mine")
    found = {one.file: one for one in verify(small.path).findings}
    assert {file: one.action for file, one in found.items()} == {
        "samples/part-one.parquet": "moved",
        "samples/part-*.parquet": "left",
        "samples/notes.txt": "left",
        "traces": "left",
    }
    assert (small.path / "quarantine/samples/part-one.parquet").read_text() == "PAR1"
    assert not part.exists() and (small.path / "samples/part-two.parquet").exists()
    for foreign in ("samples/part-*.parquet", "samples/notes.txt", "traces"):
        (small.path / foreign).unlink()
    part.write_text(content.decode("latin-1"), "latin-1")
    assert verify(small.path).is_sound and len(small.store.sample_parts()) == 4


def test_a_bucket_that_cannot_be_read_is_no_damage(
    small: SmallStore, impatient: BucketServer
) -> None:
    before, part = names(small.path), small.store.parts("samples")[0]
    impatient.refused = lambda request: request.method == "GET" and request.key.endswith("parquet")
    with pytest.raises(StorageError, match="storage failed"):
        verify(small.path)
    with pytest.raises(StorageError, match="storage failed"):
        check_part("samples", part)
    with pytest.raises(StorageError, match="storage failed"):
        small.store.read("samples", ["sample_id"])
    impatient.calm()
    assert names(small.path) == before and verify(small.path).is_sound
    views = open_views(small.path)
    impatient.refused = lambda request: True
    with pytest.raises(InputError, match=r"s3://bucket/.*: storage failed \("):
        views.query("scores_by_entry", study="small")


def test_parts_are_joined_and_stores_merged(small: SmallStore, tmp_path: Path) -> None:
    other = SmallStore(tmp_path / "other", run_id="run-2")
    other.run(6)
    other.shard("more", [3, 4, 5])
    told = {one.table: one.added for one in merge(small.store, other.store).tables}
    assert (told["samples"], told["runs"]) == (2, 1)
    columns = ["sample_id", "pixel_hash", "tokens"]
    before, key = rows(small.path, "samples", columns), fingerprint(small.path)
    assert {one.table: one.parts_after for one in compact(small.store)}["samples"] == 1
    assert rows(small.path, "samples", columns) == before and fingerprint(small.path) != key
    assert len([name for name in names(small.path) if name.startswith("samples/")]) == 1
    assert verify(small.path).is_sound
    local = SmallStore(tmp_path / "copy")
    merge(local.store, small.store)
    assert rows(local.path, "samples", columns) == before


def test_a_live_run_is_known_and_a_later_claim_stops_the_earlier(small: SmallStore) -> None:
    with (
        beating(small.path, "first", every_seconds=0.1),
        pytest.raises(InputError, match="is being written by run first"),
    ):
        check_alone(small.path)
    assert not (small.path / ALIVE_FILE).exists()
    first = small.store.claimed("first")
    small.store.claimed("second")
    with pytest.raises(InputError, match="was claimed by a later run, second"):
        first.write("samples", "late", [small.sample(9)])
    assert "samples/part-late.parquet" not in names(small.path)


def test_a_worker_stops_when_storage_stays_down(small: SmallStore, impatient: BucketServer) -> None:
    impatient.refused = lambda request: request.method == "PUT"
    at = Workplace(small.store, "run-1", "cpu")
    row = or_stopped(
        lambda row: row | {"part": at.write("samples", "late", [small.sample(9)])}, {"stopped": ""}
    )
    assert row["stopped"].startswith("StorageError: s3://bucket/")
    assert impatient.asked("PUT", "part-late") == 3


@pytest.mark.parametrize("verb", ["status", "verify", "leaderboard", "compact"])
def test_what_is_not_there_is_told_in_one_sentence(server: BucketServer, verb: str) -> None:
    assert invoke(verb, "s3://bucket/nothing") == (
        2,
        "bakeoff: store s3://bucket/nothing does not exist",
    )
    code, told = invoke(verb, "ftp://bucket/nothing")
    assert code == 2 and "must be a folder, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER" in told


def test_a_bucket_that_nobody_may_write_is_told_before_any_work(server: BucketServer) -> None:
    with pytest.raises(InputError, match=r"store s3://no-bucket/x cannot be written \(No such"):
        Store(place("s3://no-bucket/x")).create()
    with pytest.raises(InputError, match=r"s3://no-bucket/x/.*: storage failed \(no such bucket"):
        Store.open_or_plan("s3://no-bucket/x").parts("samples")


@pytest.fixture(scope="module")
def workers(running: BucketServer) -> Iterator[str]:
    """The address of a local Ray whose workers know the bucket."""
    with cluster(1):
        yield ray.get_runtime_context().gcs_address


def run(study: Study, path: Place) -> int:
    work = prepare(study, Store(path), 1)
    return carry_out(work, 1, lambda progress: None, device="cpu").made


def test_a_killed_run_into_a_failing_bucket_ends_with_the_rows_of_a_folder(
    where: Remote,
    server: BucketServer,
    workers: str,
    checkpoints: Path,
    study_of: Callable[[str], Study],
    tmp_path: Path,
) -> None:
    study = study_of(STUDY)
    file = checkpoints / "bucket.yaml"
    file.write_text(STUDY)
    server.failing, server.slow_seconds = 0.08, 0.05
    script = "from bakeoff.platform.cli import app; app()"
    command = [sys.executable, "-c", script, "run", str(file), "--store", str(where)]
    driver = subprocess.Popen(
        [*command, "--batch-size", "1", "--workers", "1"],
        env=os.environ | {"RAY_ADDRESS": workers},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        bare_run(study, tmp_path / "store", batch_size=1)
        deadline = time.monotonic() + 300
        while not server.asked("PUT", "samples/part-"):  # asking the store would slow it down
            assert driver.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    stored = len(Store(where).sample_parts())
    assert run(study, where) <= IMAGES - stored
    for table, columns in (
        ("samples", ["sample_id", "pixel_hash", "tokens", "image"]),
        ("scores", ["sample_id", "metric", "metric_version", "value"]),
    ):
        found = rows(where, table, columns)
        assert found == rows(tmp_path / "store", table, columns) and len(found) == IMAGES
    assert not Store.open(where).read("failures", ["stage"]).num_rows
    server.calm()
    assert verify(where).is_sound
    code, told = invoke("status", where)
    assert code == 0 and f"{IMAGES} images planned, {IMAGES} made, {IMAGES} scored" in told
