"""The page of costs, without a browser."""

from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.visits import Visit, charts, html, rows, unfold, visitor
from tests.store_writer import StoreWriter

PROMPTS = [f"x-{number}" for number in range(8)]
# entry: right on so many prompts, seconds an image, row-evaluations
ENTRIES = {
    "m/vanilla": (6, 0.4, 32),
    "m/fast": (6, 0.1, 16),
    "m/slow": (2, 0.8, 64),
    "n/vanilla": (7, 0.2, 128),
}


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("efficiency", monkeypatch)


@pytest.fixture(scope="module")
def costed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = StoreWriter(tmp_path_factory.mktemp("costed") / "store")
    writer.run(
        {
            "composition": {
                entry: {p: [int(place < right)] for place, p in enumerate(PROMPTS)}
                for entry, (right, _, _) in ENTRIES.items()
            }
        },
        batches={
            entry: [(seconds * (1 + 0.01 * number), True) for number in range(8)]
            for entry, (_, seconds, _) in ENTRIES.items()
        },
        costs={entry: cost for entry, (_, _, cost) in ENTRIES.items()},
    )
    return writer.path


def front(drawn: list[dict[str, Any]]) -> set[str]:
    return {row["entry"] for row in drawn if row["front"] == "yes"}


def test_the_front_is_drawn_with_intervals_and_told_in_a_table(costed: Path, visit: Visit) -> None:
    page = visit(costed)
    assert not page.exception and not page.error
    drawn = rows(charts(page)[0])
    assert front(drawn) == {"m/fast", "n/vanilla"}
    assert all(row["low"] < row["value"] < row["high"] and row["prompts"] == 8 for row in drawn)
    table = page.dataframe[0].value
    assert list(table["entry"]) == ["m/fast", "n/vanilla", "m/vanilla", "m/slow"]
    assert list(table["on the front"]) == ["●", "●", "", ""]
    assert list(table["prompts"]) == [8] * 4
    assert table["composition % ↑"][0].startswith("75 (")


def test_compute_compares_within_a_model_only(costed: Path, visit: Visit) -> None:
    page = visit(costed, cost="compute")
    fronts = [rows(chart) for chart in charts(page)[:2]]
    assert [{row["model"] for row in drawn} for drawn in fronts] == [{"m"}, {"n"}]
    assert "<h4>m</h4>" in html(page) and "<h4>n</h4>" in html(page)


def test_a_cost_that_nobody_measured_says_so(costed: Path, visit: Visit) -> None:
    page = visit(costed, cost="energy")
    assert not page.exception
    assert "measured energy" in page.info[0].value and "extra `gpu`" in page.info[0].value


def test_speed_stands_beside_quality_with_intervals_and_n(costed: Path, visit: Visit) -> None:
    page = visit(costed)
    (table,) = [one.value for one in page.dataframe if "times as fast" in one.value]
    assert list(table["entry"]) == ["m/fast", "m/slow"]
    assert list(table["times as fast"]) == [4.0, 0.5]
    low, high = map(float, table["interval"][0].split(".."))
    assert low < 4 < high
    assert list(table["batches, of both"]) == ["8, 8", "8, 8"]
    assert list(table["prompts"]) == [8, 8]


def test_a_wider_margin_makes_entries_equivalent(costed: Path, visit: Visit) -> None:
    def quality(**parameters: str) -> str:
        page = visit(costed, **parameters)
        (table,) = [one.value for one in page.dataframe if "times as fast" in one.value]
        return dict(zip(table["entry"], table["quality"], strict=True))["m/fast"]

    assert (quality(), quality(margin="25")) == ("undecided", "equivalent")


def test_stages_and_memory_are_drawn(costed: Path, visit: Visit) -> None:
    page = visit(costed)
    stages, memory = (rows(chart) for chart in charts(page)[-2:])
    assert set(unfold(page, "percentiles")["entry"]) == {row["entry"] for row in stages}
    vanilla = {row["stage"]: row["seconds"] for row in stages if row["entry"] == "m/vanilla"}
    assert vanilla["network"] == pytest.approx(0.4 * 1.035 * 0.5)
    assert {row["model"]: row["MB"] for row in memory} == {"m": 8, "n": 8}


def test_without_profiles_and_scores_the_page_says_what_is_missing(
    writer: StoreWriter, visit: Visit
) -> None:
    writer.run({"composition": {"m/a": {"x-1": [None]}}})
    page = visit(writer.path)
    assert not page.exception and not page.error
    told = " ".join(element.value for element in page.info)
    for sentence in ("No entry has a score", "one entry only", "No stage was", "No memory was"):
        assert sentence in told


def test_an_address_of_nonsense_shows_the_default(costed: Path, visit: Visit) -> None:
    page = visit(costed, metric="taste", cost="love", margin="-7", judge="nobody")
    assert not page.exception and front(rows(charts(page)[0])) == {"m/fast", "n/vanilla"}
