"""Outcomes of pairs of scores that a person can count."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.platform.conclusions.outcomes import Scores, outcomes, scores_of
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from tests.store_writer import (
    MISSING,
    Counts,
    StoreWriter,
    composition,
    counts,
    version,
)

A, B, C = "m/a", "m/b", "n/c"


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


def test_scores_meet_on_prompt_and_seed_place(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [0, 1], "x-2": [0, 0]}, b={"x-1": [1, 1], "x-2": [0, 1]}))
    assert counts(open_views(writer.path)) == {(B, A): ([1, 1], [1, 1], [0, 0], 0)}


@pytest.mark.parametrize("gap", [None, MISSING, float("nan"), float("inf")])
def test_a_missing_score_leaves_the_other_side_without_a_pair(
    writer: StoreWriter, gap: Any
) -> None:
    scores = composition(a={"x-1": [1], "x-2": [gap]}, b={"x-1": [gap], "x-2": [1]})
    writer.run(scores)
    views = open_views(writer.path)
    assert counts(views) == {(B, A): ([], [], [], 2)}
    means = {r["entry"]: r["means"] for r in views.query("scores_by_entry", study="study")}
    assert means == {A: [1.0], B: [1.0]}


def test_a_prompt_that_one_side_never_saw_has_no_pair(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [1]}, b={"x-1": [1, 0]}))
    assert counts(open_views(writer.path)) == {(B, A): ([0], [1], [0], 2)}


def test_every_two_entries_meet_once_when_no_opponent_is_named(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}, b={"x-1": [0]}, c={"x-1": [1]}))
    found = counts(open_views(writer.path), opponent=None)
    assert found == {
        (A, B): ([1], [0], [0], 0),
        (A, C): ([0], [1], [0], 0),
        (B, C): ([0], [0], [1], 0),
    }


def test_an_entry_without_any_score_meets_its_opponent_in_no_pair(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}, b={}))
    assert counts(open_views(writer.path)) == {(B, A): ([], [], [], 1)}


def test_only_finite_scores_of_the_metric_count(writer: StoreWriter) -> None:
    scores = composition(
        a={"x-1": [1, 1], "x-2": [0], "x-3": [None], "x-4": [1]},
        b={"x-1": [0, 1], "x-2": [1], "x-3": [1], "x-4": [MISSING]},
    )
    other = {"clip_score": {A: {"x-1": [0.5]}, B: {"x-1": [0.25]}}}
    writer.run(scores | other)
    views = open_views(writer.path)
    assert counts(views) == {(B, A): ([0, 1], [1, 0], [1, 0], 2)}
    (one,) = outcomes(views, "study", "clip_score", opponent=A)
    assert (one.ours, one.theirs, one.below, one.missing) == ([0.25], [0.5], [1], 0)


def test_means_are_those_of_the_pairs(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [2, 4], "x-2": [9]}, b={"x-1": [1, 0], "x-2": [None]}))
    (one,) = outcomes(open_views(writer.path), "study", "composition", opponent=A)
    assert (one.ours.tolist(), one.theirs.tolist(), one.is_binary) == ([0.5], [3.0], False)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"task": "y"}, {(B, A): ([1], [0], [0], 0), (C, A): ([], [], [], 1)}),
        ({"task": "z"}, {}),
        ({"prompt_ids": ["x-1"]}, {(B, A): ([0], [0], [1], 0), (C, A): ([0], [1], [0], 0)}),
        ({"prompt_ids": ["nowhere"]}, {}),
        ({"prompt_ids": []}, {}),
        ({"entry": C}, {(C, A): ([0], [1], [0], 1)}),
        ({"entry": "nobody"}, {}),
        ({"entry": A}, {}),
    ],
)
def test_outcomes_are_those_of_what_is_chosen(
    writer: StoreWriter, chosen: dict[str, Any], expected: dict[Any, Counts]
) -> None:
    writer.run(composition(a={"x-1": [1], "y-1": [0]}, b={"x-1": [0], "y-1": [1]}, c={"x-1": [1]}))
    assert counts(open_views(writer.path), **chosen) == expected


@given(
    st.lists(
        st.tuples(*[st.none() | st.integers(0, 2)] * 4).filter(lambda row: set(row) != {None}),
        min_size=1,
    ),
    st.integers(1, 3),
)
def test_outcomes_are_those_counted_pair_by_pair(rows: list[tuple], prompts: int) -> None:
    """Each row is one seed of a prompt: the scores of four entries, some without."""
    names = ("a", "b", "c", "d")
    found = [
        (entry, row % prompts + 1, row + 1, value)
        for row, values in enumerate(rows)
        for entry, value in enumerate(values, 1)
        if value is not None
    ]
    places = np.array([one[:3] for one in found], np.int32)
    value = np.array([one[3] for one in found], float)
    scores = Scores(dict.fromkeys(names, 2), *places.T, value)
    one = scores.of("b", "d")
    expected: dict[int, list[int]] = {}
    missing = 0
    for row, (_, ours, _, theirs) in enumerate(rows):
        if ours is not None and theirs is not None:
            place = 0 if ours > theirs else 1 if ours == theirs else 2
            expected.setdefault(row % prompts, [0, 0, 0])[place] += 1
        elif row % prompts < 2:
            missing += (ours is not None) + (theirs is not None)
    if one is None:
        assert not expected and not missing
        return
    counted = [list(each) for each in zip(one.above, one.equal, one.below, strict=True)]
    assert counted == [expected[prompt] for prompt in sorted(expected)]
    if prompts <= 2:  # scores of prompts that were not asked for are never read
        assert one.missing == missing


def test_a_hundred_thousand_scores_are_paired_in_seconds(tmp_path: Path) -> None:
    """A guard against a plan that compares every row with every other, not a benchmark."""
    store = Store(tmp_path / "store")
    store.create()
    names = [f"m/r{number}" for number in range(10)]
    ids = [(n, p, f"{n} {p}") for n in names for p in range(10_000)]
    recipes = [n.partition("/")[2] for n, _, _ in ids]
    samples = {
        "sample_id": [i for _, _, i in ids],
        "model": ["m"] * len(ids),
        "weights_hash": ["w"] * len(ids),
        "recipe_id": recipes,
        "benchmark": ["shapes"] * len(ids),
        "task": ["x"] * len(ids),
        "prompt_id": [f"x-{p}" for _, p, _ in ids],
        "prompt": ["a"] * len(ids),
        "seed": [0] * len(ids),
    }
    scores = {
        "sample_id": samples["sample_id"],
        "metric": ["composition"] * len(ids),
        "metric_version": [version("composition")] * len(ids),
        "value": [float(p % 2) for _, p, _ in ids],
    }
    for table, columns in (("samples", samples), ("scores", scores)):
        schema = TABLES[table]
        arrays = [
            pa.array(columns.get(field.name, [None] * len(ids)), field.type) for field in schema
        ]
        (store.path / table).mkdir()
        pq.write_table(pa.table(arrays, schema=schema), store.path / table / "part-0.parquet")
    head = {"model": "m", "weights_hash": "w", "benchmark": "shapes", "seeds": [0]}
    entries = [{**head, "name": n, "recipe_id": n.partition("/")[2]} for n in names]
    metrics = [{"name": "composition", "version": version("composition")}]
    run = {"run_id": "r", "study_name": "study", "entries": entries, "metrics": metrics}
    run["prompts"] = [{"prompt_id": f"x-{p}", "prompt": "a"} for p in range(10_000)]
    store.write("runs", "r", [run])
    views = open_views(store.path)
    start = time.monotonic()
    assert sum(counts(views, opponent="m/r0")[("m/r1", "m/r0")][1]) == 10_000
    assert time.monotonic() - start < 30


def test_all_scores_of_a_metric_are_read_once(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "y-1": [0]}, b={"x-1": [0], "y-1": [0]}))
    views = open_views(writer.path)
    whole = scores_of(views, "study", "composition")
    assert scores_of(views, "study", "composition") is whole
    assert counts(views, task="x") == {(B, A): ([0], [0], [1], 0)}


def test_whether_pairs_are_binary_is_a_matter_of_the_pairs(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [0.5]}, b={"x-1": [0]}))
    (one,) = outcomes(open_views(writer.path), "study", "composition", opponent=A)
    assert one.is_binary and one.missing == 1


def test_a_metric_without_scores_has_no_outcomes(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [None]}, b={"x-1": [None]}))
    assert outcomes(open_views(writer.path), "study", "composition") == []
