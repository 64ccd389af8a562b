"""Pictures of the same prompt and seed, and the order of prompts."""

from pathlib import Path

import pytest

from bakeoff.platform.conclusions.side_by_side import (
    Disputed,
    Question,
    disputed_prompts,
    pictures,
    prompt_text,
    scores,
)
from bakeoff.platform.queries.views import open_views
from tests.store_writer import MISSING, StoreWriter, png

A, B = "m/a", "m/b"


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


def ids(found: list[Disputed]) -> list[str]:
    return [one.prompt_id for one in found]


def test_pictures_are_those_of_the_seed_place(writer: StoreWriter) -> None:
    by_entry = {A: {"x-1": [1, 0], "x-2": [1]}, B: {"x-1": [0, 1]}}
    writer.run({"composition": by_entry}, copies={B: A})
    views = open_views(writer.path)
    for place, seeds, values in ((1, (0, 1000), (1.0, 0.0)), (2, (1, 1001), (0.0, 1.0))):
        found = pictures(views, "study", ["x-1"], place)
        assert {where: (one.seed, one.png) for where, one in found.items()} == {
            (A, "x-1"): (seeds[0], png(f"{A} x-1")),
            (B, "x-1"): (seeds[1], png(f"{B} x-1")),
        }
        judged = scores(views, "study", ["x-1"], place)
        assert judged == {
            (A, "x-1"): {"composition": values[0]},
            (B, "x-1"): {"composition": values[1]},
        }


def test_pictures_of_a_prompt_are_found_in_whatever_part_they_lie(writer: StoreWriter) -> None:
    writer.run({"composition": {A: {"x-1": [1]}}})
    writer.run({"composition": {A: {"x-1": [1], "x-2": [1]}}}, part="-more", minute=1)
    views = open_views(writer.path)
    for prompt in ("x-1", "x-2"):
        assert pictures(views, "study", [prompt])[A, prompt].png == png(f"{A} {prompt}")


def test_a_store_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "[a]*? 'b'" / "store")
    writer.run({"composition": {A: {"x-1": [1]}}})
    assert pictures(open_views(writer.path), "study", ["x-1"])[A, "x-1"].png == png(f"{A} x-1")


def test_only_the_parts_that_hold_them_are_read_for_pictures(writer: StoreWriter) -> None:
    writer.run({"composition": {A: {"x-1": [1]}, B: {"x-1": [1], "x-2": [1]}}})
    views = open_views(writer.path)
    views.query("placed_samples", study="study", prompt_ids=[], seed_place=1)  # joins the tables
    (writer.path / "samples/part-study-m-a.parquet").unlink()
    assert pictures(views, "study", ["x-2"])[B, "x-2"].png == png(f"{B} x-2")


def test_prompts_come_by_the_spread_of_their_scores(writer: StoreWriter) -> None:
    values = {
        A: {"x-1": [0.5], "x-2": [0.9], "y-1": [0.1], "y-2": [0.5], "y-3": [MISSING]},
        B: {"x-1": [0.25], "x-2": [0.4], "y-1": [0.1], "y-2": [None], "y-3": [0.5]},
        "n/c": {"x-1": [9.0]},
    }
    writer.run({"clip_score": values})
    views = open_views(writer.path)
    found = disputed_prompts(views, Question("study", (A, B), metric="clip_score"))
    spreads = {one.prompt_id: one.spread for one in found}
    assert list(spreads) == ["x-2", "x-1", "y-1", "y-2", "y-3"]
    assert spreads == pytest.approx({"x-2": 0.5, "x-1": 0.25, "y-1": 0, "y-2": None, "y-3": None})
    more = disputed_prompts(views, Question("study", (A, B, "n/c"), metric="clip_score"))
    assert ids(more)[0] == "x-1" and more[0].spread == 8.75


def test_without_a_metric_tasks_take_turns(writer: StoreWriter) -> None:
    writer.run({"composition": {A: {p: [1] for p in ("x-1", "x-2", "y-1", "y-2")}}})
    views = open_views(writer.path)
    assert ids(disputed_prompts(views, Question("study", (A,)))) == ["x-1", "y-1", "x-2", "y-2"]
    assert ids(disputed_prompts(views, Question("study", (A,), task="y"))) == ["y-1", "y-2"]


def test_a_search_finds_text_in_any_case_and_is_never_a_pattern(writer: StoreWriter) -> None:
    prompts = {"x-1": "A 100% RED cube", "x-2": "a 1000 red cubes"}
    writer.run({"composition": {A: {"x-1": [1], "x-2": [1]}}}, prompts=prompts)
    views = open_views(writer.path)

    def held(text: str) -> list[str]:
        return ids(disputed_prompts(views, Question("study", (A,), holding=text)))

    assert held("red CUBE") == ["x-1", "x-2"]
    assert held("100%") == ["x-1"] and held("%") == ["x-1"] and held("'") == []
    assert prompt_text(views, "study", "x-1") == "A 100% RED cube"
    assert prompt_text(views, "study", "nothing") == ""


def test_a_seed_place_has_the_prompts_that_it_was_tried_on(writer: StoreWriter) -> None:
    writer.run({"clip_score": {A: {"x-1": [0.5, 0.25], "x-2": [0.5]}, B: {"x-1": [0.5, 1.0]}}})
    views = open_views(writer.path)
    asked = Question("study", (A, B), seed_place=2, metric="clip_score")
    assert disputed_prompts(views, asked) == [Disputed("x-1", "x", 0.75)]
