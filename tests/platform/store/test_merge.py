"""Two stores become one: every row once, and of two versions of a picture the first."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.execution.heartbeat import beating
from bakeoff.platform.execution.progress import lacks
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.merge import KEYS, merge
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import verify
from bakeoff.samplers.errors import InputError
from tests.small_store import SmallStore


@pytest.fixture
def first(tmp_path: Path) -> SmallStore:
    small = SmallStore(tmp_path / "first")
    small.run(6)
    small.shard("shard", [0, 1, 2])
    return small


@pytest.fixture
def second(tmp_path: Path) -> SmallStore:
    """The same shard name with other rows, two of them in both stores."""
    small = SmallStore(tmp_path / "second", run_id="run-2")
    small.run(6)
    small.shard("shard", [1, 2, 3])
    small.shard("more", [4, 5])
    return small


def tree(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def prompts(small: SmallStore) -> list[str]:
    return sorted(small.store.read("samples", ["prompt_id"])["prompt_id"].to_pylist())


def test_every_row_is_there_once(first: SmallStore, second: SmallStore) -> None:
    before = tree(second.path)
    told = {one.table: one for one in merge(first.store, second.store).tables}
    assert prompts(first) == [f"p{number}" for number in range(6)]
    assert (told["samples"].added, told["samples"].known) == (3, 2)
    assert (told["scores"].added, told["runs"].added) == (3, 1)
    assert verify(first.path).is_sound and lacks(first.store) == []
    assert tree(second.path) == before


def test_merging_again_adds_nothing(first: SmallStore, second: SmallStore) -> None:
    merge(first.store, second.store)
    before = tree(first.path)
    assert not any(one.added for one in merge(first.store, second.store).tables)
    before.pop("claim.json")
    assert before.items() <= tree(first.path).items()
    assert set(tree(first.path)) - set(before) == {"claim.json"}


def test_every_table_but_the_news_of_workers_is_merged(
    first: SmallStore, second: SmallStore
) -> None:
    assert set(KEYS) == set(TABLES) - {"workers"}
    shard = {"shard_id": "s", "run_id": "run-2"}
    sample = {"sample_id": second.sample(3)["sample_id"]}
    second.store.write("traces", "s", [shard | sample | {"place": place} for place in range(3)])
    reference = {"benchmark": "b", "metric": "m", "metric_version": "1", "vector": [1.0]}
    second.store.write("references", "b", [reference] * 2)
    second.store.write("profiles", "s", [shard | {"stage": stage} for stage in ("text", "score")])
    second.store.write("failures", "s", [shard | sample | {"stage": "generate", "attempt": 2}])
    WorkerLog(second.store, "run-2", "sample", "cpu").begin("s", 3)
    for name in ("monday", "tuesday"):
        second.vote(name, 3, 4)
    told = {one.table: one.added for one in merge(first.store, second.store).tables}
    rest = ("traces", "references", "profiles", "failures", "votes")
    assert [told[table] for table in rest] == [3, 2, 2, 1, 2]
    assert not any(one.added for one in merge(first.store, second.store).tables)


def test_of_two_versions_of_a_picture_the_first_stays_with_its_score(
    first: SmallStore, tmp_path: Path
) -> None:
    other = SmallStore(tmp_path / "gpu")
    other.shard("gpu", [0, 3], bits=1)
    other.vote("of a picture that is another here", 3, 0)
    other.vote("of two that are not", 3, 4)
    own = first.store.read("scores", ["sample_id", "value"]).to_pylist()
    (first.path / "scores/metric=composition/part-shard.parquet").unlink()
    result = merge(first.store, other.store)
    assert result.differing == {first.sample(0)["sample_id"]}
    told = {one.table: one for one in result.tables}
    assert (told["scores"].added, told["scores"].left_out) == (1, 1)
    assert (told["votes"].added, told["votes"].left_out) == (1, 1)
    hashes = dict.fromkeys([first.sample(0)["pixel_hash"], other.sample(3, bits=1)["pixel_hash"]])
    assert hashes.keys() <= set(first.store.read("samples", ["pixel_hash"])[0].to_pylist())
    scored = first.store.read("scores", ["sample_id"])["sample_id"].to_pylist()
    assert scored == [other.sample(3)["sample_id"]] and own[0]["sample_id"] not in scored


def test_a_store_that_is_not_what_it_says_is_refused_and_nothing_is_written(
    first: SmallStore, second: SmallStore
) -> None:
    wrong = second.sample(9) | {"prompt": "another"}
    second.store.write("samples", "wrong", [wrong])
    before = tree(first.path)
    with pytest.raises(InputError, match=r"part-wrong.parquet holds a sample .* then merge again"):
        merge(first.store, second.store)
    assert tree(first.path) == before


def test_a_store_is_not_merged_into_itself_or_into_one_at_work(
    first: SmallStore, second: SmallStore
) -> None:
    with pytest.raises(InputError, match="cannot be merged into itself"):
        merge(first.store, Store(first.path / "../first"))
    with (
        beating(first.path, first.run_id, every_seconds=0.1),
        pytest.raises(InputError, match="is being written"),
    ):
        merge(first.store, second.store)


def test_the_command_tells_what_was_added(first: SmallStore, second: SmallStore) -> None:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(
        app, ["merge", str(first.path), str(second.path)]
    )
    assert result.exit_code == 0
    assert "samples: 3 rows added, 2 there already" in result.stdout
    absent = CliRunner().invoke(app, ["merge", str(first.path), "absent"])
    assert absent.exit_code == 2 and "store absent does not exist" in absent.stderr
