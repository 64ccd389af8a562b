"""What a store holds is looked up as it stands in its tables."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bakeoff.platform.store.stored import Ids, MetricKey, Places, StageKey, digests, read_stored
from tests.small_store import METRIC, SmallStore

KEY = MetricKey(METRIC["name"], METRIC["version"])
MANY = 1000
EVERY = [f"{(n + 1) * 0x9E3779B97F4A7C15 % 2**128:032x}" for n in range(MANY)]
EVERY[7] = "0" * 32  # whose bytes are all that numpy cuts off
EVERY[8] = "ab" + "0" * 30


def bytes_of(ids: list[str]) -> np.ndarray:
    return digests(pa.array(ids, pa.string()))


def test_a_set_holds_what_was_put_in_and_nothing_else() -> None:
    held = Ids.of(EVERY[::2] + EVERY[::4])
    assert held.hold(bytes_of(EVERY)).tolist() == [n % 2 == 0 for n in range(MANY)]
    assert Ids.of([]).hold(bytes_of(EVERY)).sum() == 0
    assert Ids.of([EVERY[8]]).hold(bytes_of([EVERY[7], EVERY[8]])).tolist() == [False, True]


def test_ids_that_begin_alike_are_told_apart() -> None:
    alike = [f"{'a' * 16}{n:016x}" for n in range(6)] + ["f" * 16 + "0" * 16, "f" * 32]
    for kept in (alike[:3], alike[1::2], alike[5:7]):
        assert Ids.of(kept).hold(bytes_of(alike)).tolist() == [one in kept for one in alike]


def test_the_part_of_each_sample_is_found() -> None:
    places = Places.of({identity: f"part-{n % 3}" for n, identity in enumerate(EVERY[:500])})
    found = places.find(bytes_of(EVERY))
    assert [places.names[place] for place in found[:500]] == [f"part-{n % 3}" for n in range(500)]
    assert set(found[500:].tolist()) == {-1} == set(Places.of({}).find(bytes_of(EVERY)).tolist())


@pytest.mark.parametrize("foreign", ["", "x" * 32, "A" * 32, "0" * 31, "0" * 64, "é" * 16])
def test_what_is_no_id_is_left_out(foreign: str) -> None:
    assert bytes_of([EVERY[0], foreign, EVERY[1]]).tolist() == bytes_of(EVERY[:2]).tolist()
    assert len(bytes_of([foreign])) == 0


def test_a_store_is_read_by_metric_version_and_by_what_failed(tmp_path: Path) -> None:
    small = SmallStore(tmp_path / "store")
    small.shard("one", [0, 1, 2])
    small.shard("two", [3])
    ids = [small.sample(number)["sample_id"] for number in range(6)]
    row = {"sample_id": ids[0], "metric": "composition", "metric_version": "2", "value": 1.0}
    other = row | {"sample_id": ids[1], "metric_version": "0"}
    small.store.write("scores", "mixed", [row, other])
    failure = {"sample_id": ids[4], "stage": "generate", "attempt": 3}
    rows = [
        failure,
        failure | {"stage": "composition", "metric_version": "1"},
        failure | {"sample_id": ids[5], "attempt": 1},
    ]
    small.store.write("failures", "x", rows)
    small.store.write("traces", "x", [{"sample_id": ids[0], "place": n} for n in range(3)])
    every = bytes_of(ids)

    held = read_stored(small.store, traces=True, tries=3)
    parts = [held.samples.names[place] for place in held.samples.find(every[:4])]
    assert parts == ["part-one.parquet"] * 3 + ["part-two.parquet"]
    assert held.samples.find(every[4:]).tolist() == [-1, -1]
    assert held.scored(KEY, every).tolist() == [True] * 4 + [False] * 2
    for version, place in (("2", 0), ("0", 1)):
        key = MetricKey("composition", version)
        assert held.scored(key, every).nonzero()[0].tolist() == [place]
    assert held.traced.hold(every).tolist() == [True] + [False] * 5
    assert held.given_up(StageKey("generate"), every).tolist() == [False] * 4 + [True, False]
    assert held.given_up(StageKey("composition", "1"), every).tolist() == [False] * 4 + [
        True,
        False,
    ]
    assert not held.given_up(StageKey("composition", "2"), every).any()
    again = read_stored(small.store, traces=False, tries=None)
    assert again.failed == {} and len(again.traced) == 0
