"""The page of runs, without a browser."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.visits import Visit, html, visitor
from tests.small_store import ENTRY, METRIC, SmallStore


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("runs", monkeypatch)


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    """Thirty planned samples of which two are there."""
    small = SmallStore(tmp_path / "store")
    small.run(30)
    small.shard("one", [0, 1])
    return small


def fail(small: SmallStore, number: int, message: str = "no") -> None:
    sample = small.sample(number)
    kept = ("sample_id", "model", "recipe_id", "prompt", "seed", "run_id")
    row = {name: sample[name] for name in kept} | {"stage": "generate", "attempt": 1}
    row |= {"error_type": "ValueError", "message": message}
    small.store.write("failures", str(number), [row])


def work(small: SmallStore, **told: Any) -> None:
    now = datetime.now(UTC)
    row = {"run_id": small.run_id, "worker": "host:1", "stage": "sample", "device": "cpu"}
    row |= {"started": now, "seen": now, "shard_id": "two", "at_work": 4, "images": 2}
    row |= {"failed": 0, "busy_seconds": 1.0, "longest_seconds": 1.0, "ended": None}
    small.store.write("workers", "one", [row | told])


def test_progress_is_counted(small: SmallStore, visit: Visit) -> None:
    page = visit(small.path)
    assert not page.exception and not page.error
    assert "stopped: run run-1" in [text.value for text in page.text]
    (bar,) = page.get("progress")
    assert bar.proto.text.startswith("30 images planned, 2 made, 2 scored, 0 at work, 0 failed")
    assert bar.proto.value == 6  # percent


def test_a_run_at_work_tells_of_its_workers(
    small: SmallStore, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakeoff.dashboards.latest.PATIENCE", 0)
    work(small)
    page = visit(small.path)
    assert not page.exception and "running: run run-1" in [text.value for text in page.text]
    workers = page.dataframe[0].value
    assert list(workers["worker"]) == ["host:1"] and list(workers["state"]) == ["alive"]
    assert list(workers["at work"]) == [4] and list(workers["images a second"]) == [2]
    work(small, ended="died")
    page.run()
    assert not page.exception and list(page.dataframe[0].value["state"]) == ["died"]


def test_failures_are_told_with_prompt_and_error(small: SmallStore, visit: Visit) -> None:
    fail(small, 0, message="mended <script>x</script>")
    fail(small, 5, message="y" * 5000)
    page = visit(small.path)
    assert not page.exception and not page.error
    (table,) = [one.value for one in page.dataframe if "error" in one.value]
    assert list(table["prompt"]) == ["prompt 5", "prompt 0"]
    assert list(table["since"]) == ["missing", "mended"]
    assert len(table["error"][0]) < 400
    assert table["error"][1] == "ValueError: mended <script>x</script>"
    assert "<script" not in html(page)


def test_failures_come_page_by_page(small: SmallStore, visit: Visit) -> None:
    for number in range(2, 27):
        fail(small, number)

    def prompts(**parameters: str) -> int:
        page = visit(small.path, **parameters)
        assert not page.exception
        (table,) = [one.value for one in page.dataframe if "error" in one.value]
        return len(table)

    assert (prompts(), prompts(failures="2"), prompts(failures="99")) == (20, 5, 20)


def test_without_failures_the_page_says_so(small: SmallStore, visit: Visit) -> None:
    assert "Nothing failed." in [element.value for element in visit(small.path).info]


def test_a_run_is_chosen_by_its_address(small: SmallStore, visit: Visit) -> None:
    run = {
        "run_id": "later",
        "started": datetime(2025, 2, 1, tzinfo=UTC),
        "study_name": "small",
        "study": "name: small # later",
        "entries": [{**ENTRY, "name": "m/r", "recipe": "steps=4", "seeds": [0]}],
        "metrics": [METRIC],
        "prompts": [],
        "versions": [("torch", "2.10"), ("bakeoff", "0.1")],
        "files": [("m/model", "abc")],
        "git_revision": "0123-dirty",
    }
    small.store.write("runs", "later", [run])
    page = visit(small.path)
    assert not page.exception and page.selectbox(key="run").value == "later"
    assert [code.value for code in page.code] == ["name: small # later"]
    files = page.dataframe[-1].value
    assert list(files["sha256"]) == ["abc"]
    (records,) = [one.value for one in page.dataframe if "revision" in one.value]
    assert list(records["run"]) == ["later", "run-1"] and records["revision"][0] == "0123-dirty"
    page = visit(small.path, run="run-1")
    assert [code.value for code in page.code] == ["name: small"]


def test_a_run_that_tells_nothing_is_no_crash(small: SmallStore, visit: Visit) -> None:
    small.store.write("runs", "hollow", [{"run_id": "hollow", "study_name": "hollow"}])
    page = visit(small.path, study="hollow")
    assert not page.exception
    assert page.selectbox(key="study").value == "hollow"
    assert "No run of this study is in the store." in [element.value for element in page.info]


def test_a_run_whose_devices_are_not_known_says_so(small: SmallStore, visit: Visit) -> None:
    page = visit(small.path)
    assert "No worker of this run has told its device." in [text.value for text in page.text]
