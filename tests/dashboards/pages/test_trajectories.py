"""The page of traces, without a browser."""

from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.visits import Visit, charts, html, rows, unfold, visitor
from tests.store_writer import StoreWriter

MASK = 9
# Two recipes that agree after the first step and part in the second.
STEPS: dict[str, list[dict[str, Any]]] = {
    "m/a": [
        {"mask_ratio": 0.5, "entropy": 2.0, "tokens": [1, 2, MASK, MASK]},
        {"mask_ratio": 0.0, "entropy": 1.0, "tokens": [1, 2, 3, 4]},
    ],
    "m/b": [
        {"mask_ratio": 0.5, "entropy": 2.0, "tokens": [1, 2, MASK, MASK]},
        {"mask_ratio": 0.0, "entropy": 3.0, "tokens": [1, 2, 3, 5]},
    ],
}


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("trajectories", monkeypatch)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = StoreWriter(tmp_path_factory.mktemp("traced") / "store")
    scores = {entry: {"x-1": [1], "x-2": [0]} for entry in (*STEPS, "n/c")}
    writer.run(
        {"composition": scores},
        traces=STEPS | {"n/c": [{"mask_ratio": 0.0, "entropy": 1.0, "tokens": [1, 2, 3, 4]}]},
        prompts={"x-1": "<b>first</b>", "x-2": "second"},
    )
    return writer.path


def test_every_measure_that_has_values_is_drawn_by_entry(traced: Path, visit: Visit) -> None:
    page = visit(traced)
    assert not page.exception and not page.error
    mask, entropy, revealed, _ = (rows(chart) for chart in charts(page))  # left, right, below
    ratios = [row["value"] for row in mask if row["name"] == "m/a"]
    assert ratios == [0.5, 0.0] and all(row["prompts"] == 2 for row in mask)
    assert [row["value"] for row in revealed if row["name"] == "m/a"] == [0.5, 0.5]
    assert {row["name"] for row in entropy} == {"m/a", "m/b", "n/c"}
    numbers = unfold(page, "numbers")
    assert list(numbers["prompts"]) == [2] * 5
    assert numbers["entropy"][0] == "2.000 (2.000..2.000)"


def test_two_recipes_part_where_their_tokens_do(traced: Path, visit: Visit) -> None:
    page = visit(traced)
    told = next(text.value for text in page.text if text.value.startswith("Tokens differ"))
    assert "2 of 2 pairs" in told and "after step 1.0" in told and "2 prompts" in told
    differ = [row for row in rows(charts(page)[-1]) if "not the same, an" in row["name"]]
    assert [(row["step"], row["value"]) for row in differ] == [(0, 0.0), (1, 0.25)]
    assert list(unfold(page, "differences")["step"]) == [0, 1]


def test_token_maps_stand_side_by_side_with_where_they_differ(traced: Path, visit: Visit) -> None:
    page = visit(traced)
    maps = [markup for markup in page.get("html") if "class='token-maps'" in markup.proto.body]
    assert [markup.proto.body.count("<img") for markup in maps] == [2, 2, 2]
    assert "<h4>m/a</h4>" in html(page) and "<h4>m/b</h4>" in html(page)


def test_a_prompt_is_text(traced: Path, visit: Visit) -> None:
    page = visit(traced, prompt="1")
    assert "<b>first</b>" in [text.value for text in page.text]
    assert "<b>first" not in html(page)


def test_the_address_says_what_is_shown(traced: Path, visit: Visit) -> None:
    page = visit(traced, paths="n/c", along="share of all changes", path="m/b", prompt="2")
    assert {row["name"] for row in rows(charts(page)[0])} == {"n/c"}
    assert page.selectbox(key="path").value == "m/b"
    assert page.selectbox(key="beside").value == "m/a"
    assert "second" in [text.value for text in page.text]


def test_an_address_of_nonsense_shows_the_default(traced: Path, visit: Visit) -> None:
    page = visit(traced, paths="nobody", along="x", path="y", beside="z", seed="0", prompt="99")
    assert not page.exception and {row["name"] for row in rows(charts(page)[0])} == {
        *STEPS,
        "n/c",
    }


def test_no_entry_chosen_asks_for_one(traced: Path, visit: Visit) -> None:
    page = visit(traced)
    page.multiselect(key="paths").set_value([]).run()
    assert not page.exception
    assert "Choose at least one entry." in [element.value for element in page.info]


def test_a_study_without_traces_says_how_to_get_them(store: Path, visit: Visit) -> None:
    page = visit(store)
    assert not page.exception and "traces: true" in page.info[0].value


def test_one_traced_entry_has_nobody_to_part_from(writer: StoreWriter, visit: Visit) -> None:
    writer.run({"composition": {"m/a": {"x-1": [1]}}}, traces={"m/a": STEPS["m/a"]})
    page = visit(writer.path)
    assert not page.exception and not page.error
    assert any("Two entries of one model" in element.value for element in page.info)
    assert html(page).count("class='token-maps'") == 1
