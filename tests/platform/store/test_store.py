"""A store is whole or refused: parts appear at once, and nothing foreign is touched."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bakeoff.platform.queries.database import connect, read_parts
from bakeoff.platform.store import bucket
from bakeoff.platform.store.bucket import Remote
from bakeoff.platform.store.schemas import FORMAT_VERSION, TABLES
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError


def score(sample_id: str, metric: str = "composition", value: float = 1.0) -> dict[str, object]:
    return {"sample_id": sample_id, "metric": metric, "metric_version": "1", "value": value}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.create()
    store.write("scores", "first", [score("a"), score("b", value=0.0)])
    return store


def tree(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_rows_come_back_as_they_were_written(store: Store) -> None:
    rows = Store.open(store.path).read("scores", ["sample_id", "metric", "value"]).to_pylist()
    assert rows == [
        {"sample_id": "a", "metric": "composition", "value": 1.0},
        {"sample_id": "b", "metric": "composition", "value": 0.0},
    ]


def test_scores_lie_in_a_folder_for_each_metric(store: Store) -> None:
    store.write("scores", "first", [score("a", "clip_score", 0.3)])
    assert [str(part.relative_to(store.path)) for part in store.parts("scores")] == [
        "scores/metric=clip_score/part-first.parquet",
        "scores/metric=composition/part-first.parquet",
    ]


def test_a_repeated_part_overwrites_itself(store: Store) -> None:
    store.write("scores", "first", [score("c")])
    assert store.read("scores", ["sample_id"])["sample_id"].to_pylist() == ["c"]


def test_rows_of_a_sample_are_found_whatever_columns_are_asked(store: Store) -> None:
    part = store.parts("scores")[0]
    assert store.read_part(part, ["value"], ["b"]).to_pylist() == [{"value": 0.0}]


def test_no_rows_make_no_part(store: Store) -> None:
    assert store.write("failures", "none", []) is None
    assert store.parts("failures") == []


def test_an_empty_table_has_its_columns(store: Store) -> None:
    assert store.read("samples", ["sample_id", "image"]).schema.names == ["sample_id", "image"]
    assert store.sample_parts() == {}


def test_a_failed_write_leaves_nothing_behind(store: Store) -> None:
    before = tree(store.path)
    with pytest.raises(pa.ArrowException):
        store.write("scores", "second", [score("d") | {"value": "not a number"}])
    assert tree(store.path) == before


def test_a_file_that_is_still_being_written_is_not_read(store: Store) -> None:
    (store.path / "scores/part-x.parquet.unfinished-12345678").write_bytes(b"PAR1")
    assert len(Store.open(store.path).parts("scores")) == 1


def test_only_old_leftovers_of_killed_writers_are_removed(store: Store) -> None:
    old, young = (store.path / f"samples/part-{n}.parquet.unfinished-0" for n in ("old", "young"))
    old.parent.mkdir()
    for file in (old, young):
        file.write_bytes(b"PAR1")
    os.utime(old, (0, 0))
    store.create()
    assert not old.exists()
    assert young.exists()


def test_absent_and_empty_folders_become_stores_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        planned = Store.open_or_plan(tmp_path / name)
        assert not planned.exists
        planned.create()
        assert Store.open(tmp_path / name).read("runs", ["run_id"]).num_rows == 0


def test_a_store_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent does not exist"):
        Store.open(tmp_path / "absent")


def other_version(path: Path) -> None:
    content = {"format": "bakeoff-store", "version": FORMAT_VERSION + 1}
    (path / "format.json").write_text(json.dumps(content))


def no_format(path: Path) -> None:
    (path / "format.json").rename(path / "format.txt")


def truncated_part(path: Path) -> None:
    part = next(path.rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])


def empty_part(path: Path) -> None:
    next(path.rglob("*.parquet")).write_bytes(b"")


def part_of_other_columns(path: Path) -> None:
    table = pa.table({"sample_id": ["a"], "value": ["one"]})
    pq.write_table(table, path / "scores/part-foreign.parquet")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (other_version, f"has format version {FORMAT_VERSION + 1}, this Bakeoff reads and writes"),
        (lambda path: (path / "format.json").write_text("{}"), "has an unreadable format.json"),
        (lambda path: (path / "format.json").write_text("[1]"), "has an unreadable format.json"),
        (no_format, "is not a Bakeoff store: it holds 'format.txt'"),
        (truncated_part, "damaged or half written"),
        (empty_part, "damaged or half written"),
        (part_of_other_columns, "is a foreign part: its columns are not those of the table"),
        (lambda path: (path / "runs").write_text("me"), "stands in place of the table runs"),
        (lambda path: (path / "scores/notes.txt").write_text("hello"), "notes.txt is no part of"),
    ],
)
def test_a_store_that_is_not_whole_is_refused_and_left_alone(
    store: Store, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(store.path)
    before = tree(store.path)
    for open_store in (Store.open, Store.open_or_plan):
        with pytest.raises(InputError, match=sentence) as caught:
            open_store(store.path)
        assert "\n" not in str(caught.value)
    assert tree(store.path) == before


def test_a_file_in_place_of_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    with pytest.raises(InputError, match="is a file, not a folder"):
        Store.open_or_plan(tmp_path / "store")


def test_a_part_damaged_behind_its_footer_is_refused_when_read(store: Store) -> None:
    part = store.parts("scores")[0]
    content = bytearray(part.read_bytes())
    content[4:60] = bytes(56)
    part.write_bytes(content)
    with pytest.raises(InputError, match="damaged or half written"):
        store.read("scores", ["sample_id"])


def test_a_claim_that_cannot_be_read_stops_who_writes(store: Store) -> None:
    mine = store.claimed("mine")
    for text in ("", "[]", "{}", '"mine"'):
        (store.path / "claim.json").write_text(text)
        with pytest.raises(InputError, match=r"unreadable claim\.json"):
            mine.write("scores", "late", [score("c")])
    assert len(store.parts("scores")) == 1


def test_a_part_whose_name_means_many_is_none_of_ours(store: Store) -> None:
    (store.path / "scores/part-*.parquet").write_bytes(store.parts("scores")[0].read_bytes())
    assert len(store.parts("scores")) == 1
    with pytest.raises(InputError, match=r"part-\*\.parquet is no part of a store"):
        Store.open(store.path)


def test_a_store_in_a_folder_of_any_name_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "a [1]*?")
    store.create()
    store.write("scores", "first", [score("a")])
    with connect() as connection:
        assert len(read_parts(connection, store.parts("scores")).fetchall()) == 1


def test_the_format_is_the_one_that_version_5_names() -> None:
    """Whoever changes a schema raises FORMAT_VERSION and notes the new hash here."""
    text = "".join(f"{name}\n{schema.to_string()}\n" for name, schema in TABLES.items())
    assert (FORMAT_VERSION, sha256(text.encode()).hexdigest()[:16]) == (5, "97cbcd69f758c49d")


class SlowBucket:
    """A bucket in memory; something else may happen while a part is put."""

    def __init__(self) -> None:
        self._files = fsspec.filesystem("memory")
        self.meanwhile: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def pipe_file(self, key: str, content: bytes) -> None:
        if key.endswith(".parquet"):
            self.meanwhile()
        self._files.pipe_file(key, content)


def test_a_part_that_comes_to_a_bucket_after_a_later_claim_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later run has planned without it, and makes its rows once more."""
    slow = SlowBucket()
    monkeypatch.setattr(bucket, "filesystem", lambda scheme, process: slow)
    store = Store(Remote("s3", tmp_path.name))
    first = store.claimed("first")
    early = first.write("scores", "early", [score("a")])
    slow.meanwhile = lambda: store.claimed("second")
    with pytest.raises(InputError, match="was claimed by a later run, second"):
        first.write("scores", "late", [score("b")])
    assert isinstance(early, Remote) and early.exists()
    assert not early.with_name("part-late.parquet").exists()
