"""What is saved of a store says the same as the store, without a picture."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from bakeoff.platform.queries.snapshot import KEPT, snapshot, snapshot_file
from bakeoff.platform.queries.views import FOLDER, VIEWS, Views, open_views
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError
from tests.store_writer import StoreWriter, png

A, B = "m/it's a", "m/b"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ca'che"))


@pytest.fixture
def views(tmp_path: Path) -> Views:
    writer = StoreWriter(tmp_path / "store")
    writer.run(
        {"composition": {A: {"x-1": [1, 0], "y-1": [1]}, B: {"x-1": [0, 0], "y-1": [None]}}},
        batches={A: [(0.5, True)]},
        traces={A: [{"mask_ratio": 0.5}, {"mask_ratio": 0.0}]},
    )
    return open_views(writer.path)


def rows(file: Path, sql: str) -> list[Any]:
    with duckdb.connect(file, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_snapshot_holds_names_and_figures(views: Views) -> None:
    file = snapshot(views, "now")
    counts = {
        table: rows(file, f"SELECT count(*) FROM {table}")[0][0]
        for table in ("entries", "entry_samples", "entry_scores", "asked_prompts", "runs")
    }
    assert counts == {
        "entries": 2,
        "entry_samples": 6,
        "entry_scores": 5,
        "asked_prompts": 2,
        "runs": 1,
    }
    assert rows(file, "SELECT count(*), max(mask_ratio) FROM traces") == [(6, 0.5)]
    assert rows(file, "SELECT count(*) FROM profiles")[0][0] > 0
    assert rows(file, "SELECT entry FROM entries ORDER BY ALL") == [(B,), (A,)]


def test_no_picture_token_or_vector_is_in_it(views: Views) -> None:
    file = snapshot(views, "now")
    columns = {name for (name,) in rows(file, "SELECT column_name FROM duckdb_columns()")}
    assert "entry" in columns and not {"image", "tokens", "vector"} & columns
    assert png(f"{A} x-1")[:30] not in file.read_bytes()


def test_every_shared_table_is_saved() -> None:
    text = (FOLDER / "snapshot.sql").read_text()
    views = {"sample_traces", "study_votes"}
    assert all(f"snapshot.{name} " in text for name in set(VIEWS) - views)


def test_a_store_opened_by_its_snapshot_answers_the_same(views: Views) -> None:
    opened = Views(Store.open(views.store.path), snapshot(views, "now"))
    asked: dict[str, dict[str, Any]] = {
        "studies": {},
        "study_entries": {"study": "study"},
        "scores_by_entry": {"study": "study"},
        "traced_entries": {"study": "study"},
        "cast_votes": {"study": "study"},
    }
    for name, parameters in asked.items():
        assert opened.query(name, **parameters) == views.query(name, **parameters), name


def test_one_is_made_for_each_state_and_old_ones_go(views: Views) -> None:
    first = snapshot(views, "0")
    before = first.stat().st_mtime_ns
    assert snapshot(views, "0") == first and first.stat().st_mtime_ns == before
    made = [snapshot(views, str(state)) for state in range(1, KEPT + 2)]
    assert sorted(first.parent.iterdir()) == sorted(made[-KEPT:])
    assert snapshot_file(Store(views.store.path / "../other"), "0").parent != first.parent


def test_an_empty_store_has_a_snapshot(tmp_path: Path) -> None:
    Store(tmp_path / "empty").create()
    file = snapshot(open_views(tmp_path / "empty"), "now")
    assert rows(file, "SELECT count(*) FROM entry_scores") == [(0,)]


def test_a_cache_that_cannot_be_written_is_told(
    views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\): let XDG_CACHE"):
        snapshot(views, "now")
