"""What failed in a study, page by page, and what its runs depended on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bakeoff.platform.conclusions.history import LONGEST_TEXT, failed_page, run_records
from bakeoff.platform.queries.views import open_views
from tests.small_store import METRIC, SmallStore


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    """Six planned samples of which two are there."""
    small = SmallStore(tmp_path / "store")
    small.run(6)
    small.shard("one", [0, 1])
    return small


def fail(small: SmallStore, number: int, **told: Any) -> None:
    sample = small.sample(number)
    kept = ("sample_id", "model", "recipe_id", "prompt", "seed", "run_id")
    row = {name: sample[name] for name in kept} | {"stage": "generate", "attempt": 1}
    row |= {"error_type": "ValueError", "message": f"no {number}"} | told
    part = f"{number}-{row['stage']}-{row['attempt']}"
    small.store.write("failures", part, [row])


def test_what_is_still_missing_comes_before_what_was_mended(small: SmallStore) -> None:
    fail(small, 0)
    fail(small, 3)
    fail(small, 1, stage="composition", metric_version=METRIC["version"])
    fail(small, 1, stage="clip_score")
    found = failed_page(open_views(small.path), "small", page=1, size=10)
    assert [(one.prompt, one.stage, one.is_mended) for one in found.shown] == [
        ("prompt 1", "clip_score", False),
        ("prompt 3", "generate", False),
        ("prompt 0", "generate", True),
        ("prompt 1", "composition", True),
    ]
    assert found.total == 4
    assert found.shown[1].message == "no 3" and found.shown[1].entry == "m/r"


def test_failures_come_page_by_page(small: SmallStore) -> None:
    for number in range(2, 6):
        fail(small, number)
    views = open_views(small.path)
    pages = [failed_page(views, "small", page=page, size=3) for page in (1, 2, 3)]
    assert [len(page.shown) for page in pages] == [3, 1, 0]
    assert [page.total for page in pages] == [4, 4, 0]
    assert failed_page(views, "nothing", page=1, size=3).total == 0


def test_no_text_of_any_length_leaves_the_store(small: SmallStore) -> None:
    fail(small, 3, message="x" * 1_000_000)
    (one,) = failed_page(open_views(small.path), "small", page=1, size=3).shown
    assert one.message == "x" * LONGEST_TEXT


def test_a_run_is_told_with_what_its_numbers_depend_on(tmp_path: Path) -> None:
    small = SmallStore(tmp_path / "store")
    small.run(1)
    entry = {"model": "m", "weights_hash": "w", "dtype": "bfloat16", "compiled": False}
    run = {
        "run_id": "later",
        "started": datetime(2025, 2, 1, tzinfo=UTC),
        "study_name": "small",
        "study": "name: small",
        "entries": [{**entry, "name": "m/a"}, {**entry, "name": "m/b"}],
        "versions": [("torch", "2.10")],
        "files": [("m/model", "abc")],
        "git_revision": "0123-dirty",
        "workers": 2,
    }
    small.store.write("runs", "later", [run])
    stage = {"device": "GPU", "driver": "580.1", "run_id": "later", "images": 5}
    rows = [{**stage, "stage": name, "shard_id": name} for name in ("network", "decode")]
    small.store.write("profiles", "one", rows)
    newest, oldest = run_records(open_views(small.path), "small")
    assert (newest.run_id, newest.versions, newest.files) == (
        "later",
        {"torch": "2.10"},
        {"m/model": "abc"},
    )
    (model,), (device,) = newest.models, newest.devices
    assert (model.weights_hash, model.dtype, model.entries) == ("w", "bfloat16", 2)
    assert (device.device, device.driver, device.images) == ("GPU", "580.1", 5)
    assert (oldest.run_id, oldest.versions, oldest.devices) == ("run-1", {}, ())
