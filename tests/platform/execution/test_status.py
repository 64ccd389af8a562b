"""Where a study stands is told from its store alone."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.execution.status import Status, status
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.store import Store
from tests.small_store import SmallStore

START = datetime(2025, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    """Ten planned samples of which four are there."""
    small = SmallStore(tmp_path / "store")
    small.run(10, started=START)
    small.shard("one", [0, 1])
    small.shard("two", [2, 3])
    return small


def work(small: SmallStore, worker: str, stage: str, minutes: float, **told: object) -> None:
    row = {
        "run_id": small.run_id, "worker": worker, "stage": stage, "device": "cpu",
        "started": START, "seen": START + minutes * MINUTE, "at_work": 0, "images": 0,
        "failed": 0, "busy_seconds": 0.0, "longest_seconds": 0.0,
    }  # fmt: skip
    small.store.write("workers", f"{worker}-{stage}".replace(":", "-"), [row | told])


def fail(small: SmallStore, number: int) -> None:
    sample = {"sample_id": small.sample(number)["sample_id"], "run_id": small.run_id}
    failure = sample | {"stage": "generate", "attempt": 1}
    small.store.write("failures", str(number), [failure])


def stand(small: SmallStore, minutes: float) -> Status:
    (found,) = status(Store.open(small.path), START + minutes * MINUTE)
    return found


def test_a_running_study_tells_what_is_done_and_how_long_it_takes(small: SmallStore) -> None:
    work(small, "a:1", "sample", 2, images=4, at_work=2, busy_seconds=80.0)
    work(small, "a:2", "score", 2, images=4, busy_seconds=1.0)
    fail(small, 4)
    found = stand(small, 3)
    assert (found.state, found.planned, found.made, found.scored) == ("running", 10, 4, 4)
    assert (found.running, found.failed) == (2, 1)
    assert found.images_per_second == pytest.approx(4 / 120)
    assert found.seconds_left == pytest.approx((10 - 4 - 1) * 30)
    assert [(one.worker, one.images_per_second, one.silent_seconds) for one in found.workers] == [
        ("a:1", 0.05, 60.0),
        ("a:2", 4.0, 60.0),
    ]


def test_a_silent_worker_is_gone_and_its_images_are_not_at_work(small: SmallStore) -> None:
    work(small, "a:1", "sample", 2, images=4, at_work=2)
    found = stand(small, 60)
    assert (found.state, found.running, found.seconds_left) == ("stopped", 0, None)
    assert not found.workers[0].is_alive


def test_a_worker_that_was_ended_is_named_with_its_shard(small: SmallStore) -> None:
    ended = "hung for 600 seconds"
    work(small, "a:1", "sample", 2, images=4, at_work=2, shard_id="three", ended=ended)
    found = stand(small, 3)
    assert (found.state, found.running) == ("stopped", 0)
    assert (found.workers[0].shard_id, found.workers[0].ended) == ("three", ended)
    text = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["status", str(small.path)]).stdout
    assert f"a:1 {ended} at shard three" in text


def test_a_worker_of_long_shards_is_given_its_time(small: SmallStore) -> None:
    work(small, "a:1", "sample", 0, images=4, at_work=2, longest_seconds=1200.0)
    assert stand(small, 59).state == "running"
    assert stand(small, 61).state == "stopped"


def test_workers_of_an_earlier_run_are_not_counted(small: SmallStore) -> None:
    work(small, "a:1", "sample", 2, images=4, at_work=2, run_id="an earlier one")
    assert stand(small, 3).workers == ()


def test_a_complete_study_is_done_and_one_with_failures_says_so(small: SmallStore) -> None:
    small.shard("three", range(4, 9))
    fail(small, 9)
    assert stand(small, 3).state == "failed"
    fail(small, 8)  # and was made later
    small.shard("four", [9])
    done = stand(small, 3)
    assert (done.state, done.failed, done.scored) == ("done", 0, 10)


def test_a_picture_without_its_score_is_made_and_not_done(small: SmallStore) -> None:
    (small.path / "scores/metric=composition/part-one.parquet").unlink()
    found = stand(small, 3)
    assert (found.made, found.scored) == (4, 2)


def test_a_worker_tells_of_its_shards(small: SmallStore) -> None:
    log = WorkerLog(small.store, small.run_id, "sample", "cpu")
    told = []
    for step in (
        lambda: log.begin("shard", 3),
        lambda: log.end(failed=1),
        lambda: log.end(failed=0),  # of a row that was no work
        lambda: log.begin("next", 2),
    ):
        step()
        columns = ["shard_id", "at_work", "images", "failed"]
        (row,) = small.store.read("workers", columns).to_pylist()
        told.append(tuple(row.values()))
    assert told == [("shard", 3, 0, 0), (None, 0, 2, 1), (None, 0, 2, 1), ("next", 2, 2, 1)]


def test_the_command_prints_text_and_json(small: SmallStore) -> None:
    work(small, "a:1", "sample", 2, images=4, at_work=2, busy_seconds=80.0)
    run: Callable = CliRunner(env={"COLUMNS": "120"}).invoke
    text = run(app, ["status", str(small.path)]).stdout
    assert "Study small: stopped" in text and "a:1" in text and "gone or idle" in text
    assert "10 images planned, 4 made, 4 scored, 0 at work, 0 failed" in text
    (told,) = json.loads(run(app, ["status", str(small.path), "--json"]).stdout)
    assert (told["study"], told["planned"], told["workers"][0]["worker"]) == ("small", 10, "a:1")
