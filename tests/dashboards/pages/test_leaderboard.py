"""The leaderboard's page, without a browser."""

import json
from pathlib import Path

import pytest

from tests.dashboards.visits import Visit, charts, html, visitor
from tests.store_writer import StoreWriter


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("", monkeypatch)


def test_the_leaderboard_has_a_line_for_each_entry(store: Path, visit: Visit) -> None:
    page = visit(store)
    assert not page.exception and not page.error
    table = page.dataframe[0].value
    assert list(table["entry"]) == ["m/vanilla", "m/control", "n/vanilla"]
    assert list(table["role"]) == ["baseline", "A/A control", ""]
    assert list(table["prompts"]) == [6, 6, 6]
    assert table["composition % ↑"][0] == "67 (30..90)"  # Wilson of 4 in 6
    assert table["s/image"][0] == pytest.approx(0.25)


def test_entries_of_equal_compute_have_a_table_of_their_own(
    writer: StoreWriter, visit: Visit
) -> None:
    scores = {"m/vanilla": [0, 0, 1], "m/noise": [1, 1, 1], "m/<b>long": [1, 1, 1]}
    writer.run(
        {
            "composition": {
                entry: {f"x-{place}": [value] for place, value in enumerate(values)}
                for entry, values in scores.items()
            }
        },
        costs={"m/<b>long": 64},
    )
    page = visit(writer.path, at="equal compute")
    assert not page.exception and not page.error
    together, alone = (element.value for element in page.dataframe)
    assert list(together["entry"]) == ["m/noise", "m/vanilla"]
    assert list(together["role"]) == ["", "baseline"]
    assert together["wins against baseline %"][0].startswith("83 (")
    assert list(alone["group"]) == ["row-evaluations 64"]
    assert list(alone["entry"]) == ["m/<b>long"]
    assert "wins against baseline %" in together and "wins against baseline %" not in alone
    assert "row-evaluations 32: wins against m/vanilla" in html(page)
    assert "within 5% of the study&#x27;s baseline" in html(page)
    page.selectbox(key="at").set_value("any cost").run()
    assert len(page.dataframe) == 1 and len(page.dataframe[0].value) == 3


def test_a_groups_baseline_is_text_and_never_markup(writer: StoreWriter, visit: Visit) -> None:
    scores = {"m/<b>bold": {"x-1": [1]}, "m/other": {"x-1": [0]}}
    writer.run({"composition": scores})
    page = visit(writer.path, at="equal compute")
    assert "against m/&lt;b&gt;bold" in html(page) and "<b>bold" not in html(page)


def test_models_have_their_colors_in_the_chart(store: Path, visit: Visit) -> None:
    chart = json.loads(charts(visit(store))[0].spec)
    scale = chart["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["m", "n"] and len(set(scale["range"])) == 2


def test_a_url_of_nonsense_shows_the_default(store: Path, visit: Visit) -> None:
    page = visit(store, at="nowhere", drawn="taste", study="none")
    assert not page.exception
    assert len(page.dataframe[0].value) == 3
