"""The leaderboard's page, without a browser."""

import csv
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bakeoff.dashboards.pages.leaderboard import _rows_of_groups
from bakeoff.platform.conclusions.equal_terms import group_entries
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.export.flat_tables import as_csv, leaderboard_rows, write_leaderboard
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.tables.colors import PALETTE, SHAPES
from tests.dashboards.visits import Visit, charts, html, rows, visitor
from tests.store_writer import StoreWriter


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("", monkeypatch)


def test_a_column_of_texts_is_as_wide_as_the_longest(writer: StoreWriter, visit: Visit) -> None:
    long = "m/" + 40 * "x"
    writer.run({"composition": {"m/a": {"x-1": [1]}, long: {"x-1": [0]}}})
    columns = json.loads(visit(writer.path).dataframe[0].proto.columns)
    assert columns["entry"]["width"] > 2 * columns["role"]["width"] > 0
    assert "images" not in columns  # of numbers


def test_the_leaderboard_has_a_line_for_each_entry(store: Path, visit: Visit) -> None:
    page = visit(store)
    assert not page.exception and not page.error
    table = page.dataframe[0].value
    assert list(table["entry"]) == ["m/vanilla", "m/control", "n/vanilla"]
    assert list(table["role"]) == ["baseline", "control", ""]
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
    assert together["wins %"][0].startswith("83 (")
    assert list(alone["group"]) == ["row-evaluations 64"]
    assert list(alone["entry"]) == ["m/<b>long"]
    assert "wins %" in together and "wins %" not in alone
    assert "row-evaluations 32: wins against m/vanilla" in html(page)
    assert "within 5% of the study&#x27;s baseline" in html(page)
    page.segmented_control(key="at").set_value("any cost").run()
    assert len(page.dataframe) == 1 and len(page.dataframe[0].value) == 3


def test_a_groups_baseline_is_text_and_never_markup(writer: StoreWriter, visit: Visit) -> None:
    scores = {"m/<b>bold": {"x-1": [1]}, "m/other": {"x-1": [0]}}
    writer.run({"composition": scores})
    page = visit(writer.path, at="equal compute")
    assert "against m/&lt;b&gt;bold" in html(page) and "<b>bold" not in html(page)


def test_a_model_has_one_color_and_a_recipe_one_marker(store: Path, visit: Visit) -> None:
    point = json.loads(charts(visit(store))[0].spec)["layer"][1]["encoding"]
    assert point["color"]["scale"]["domain"] == ["m/vanilla", "m/control", "n/vanilla"]
    assert point["color"]["scale"]["range"] == [PALETTE[0], PALETTE[0], PALETTE[1]]
    assert point["shape"]["scale"]["range"] == [SHAPES[0], SHAPES[1], SHAPES[0]]


def test_the_intervals_are_drawn(store: Path, visit: Visit) -> None:
    (chart,) = charts(visit(store))
    (vanilla,) = [row for row in rows(chart) if row["name"] == "m/vanilla"]
    assert (round(vanilla["low"], 2), round(vanilla["high"], 2)) == (0.3, 0.9)
    assert vanilla["prompts"] == 6


@pytest.fixture
def two(writer: StoreWriter) -> Path:
    """Two metrics of pictures that disagree, and one of sets; two tasks that do, too."""
    prompts = [f"{task}-{number}" for task in ("x", "y") for number in range(8)]
    right = {"m/a": [1.0] * 8 + [0.0] * 8, "=m/b": [0.0] * 8 + [1.0] * 8}
    clip = {"m/a": 0.1, "=m/b": 0.9}
    vectors = {"m/a": [0.0, 1.0], "=m/b": [1.0, 0.0]}
    writer.run(
        {
            "composition": {
                entry: {p: [value] for p, value in zip(prompts, values, strict=True)}
                for entry, values in right.items()
            },
            "clip_score": {e: {p: [value] for p in prompts} for e, value in clip.items()},
            "kid_tiny_clip": {e: {p: [value] for p in prompts} for e, value in vectors.items()},
        },
        costs={"=m/b": 64},
    )
    writer.references("kid_tiny_clip", [[0.0, 1.0], [1.0, 0.0]])
    return writer.path


def verdict(page: AppTest) -> tuple[str, str]:
    (line,) = [row for _, row in page.dataframe[0].value.iterrows() if row["entry"] == "=m/b"]
    return line["wins %"].partition(" ")[0], line["verdict"].partition(" ")[0]


def test_a_metric_that_is_chosen_decides(two: Path, visit: Visit) -> None:
    page = visit(two)
    assert verdict(page) == ("50", "undecided")
    page.segmented_control(key="metric").set_value("clip_score").run()
    assert not page.exception and not page.error
    assert verdict(page) == ("100", "better")
    assert {row["value"] for row in rows(charts(page)[0])} == {0.1, 0.9}
    assert page.dataframe[0].value["role"][1] == ""  # one alone has no choice


def test_a_metric_of_sets_is_drawn_and_decides_nothing(two: Path, visit: Visit) -> None:
    page = visit(two, metric="kid_tiny_clip")
    assert not page.exception and not page.error
    assert verdict(page) == ("50", "undecided")
    assert any("wins and verdicts are those on composition" in text.value for text in page.text)
    page.selectbox(key="task").set_value("x").run()
    assert not page.exception and "of single tasks" in page.info[0].value


def test_a_task_narrows_scores_counts_and_wins(two: Path, visit: Visit) -> None:
    page = visit(two, task="y")
    assert verdict(page) == ("100", "better")
    table = page.dataframe[0].value
    assert list(table["prompts"]) == [8, 8]
    assert [text.partition(" ")[0] for text in table["composition % ↑"]] == ["0", "100"]
    page.segmented_control(key="at").set_value("equal compute").run()
    assert not page.exception and list(page.dataframe[0].value["group"]) == [
        "row-evaluations 32",
        "row-evaluations 64",
    ]


def test_the_csv_is_that_of_an_export_and_no_formula(two: Path, tmp_path: Path) -> None:
    board = leaderboard(open_views(two))
    write_leaderboard(board, tmp_path)
    content = as_csv(leaderboard_rows(board))
    assert content == (tmp_path / "leaderboard.csv").read_bytes()
    lines = list(csv.DictReader(content.decode().splitlines()))
    assert [line["entry"] for line in lines] == ["m/a", "'=m/b"]
    assert float(lines[1]["win_rate_composition"]) == 0.5
    assert lines[1]["verdict"] == "undecided"


def test_the_csv_of_groups_says_whom_each_is_compared_with(two: Path, visit: Visit) -> None:
    views = open_views(two)
    board = leaderboard(views)
    rows_of_groups = _rows_of_groups(board, group_entries(views, board, "compute"))
    told = [(row["group"], row["compared_with"], row["entry"]) for row in rows_of_groups]
    assert told == [("row-evaluations 32", None, "m/a"), ("row-evaluations 64", None, "=m/b")]
    assert [button.label for button in visit(two).get("download_button")] == ["CSV"]


def test_a_url_of_nonsense_shows_the_default(store: Path, visit: Visit) -> None:
    page = visit(store, at="nowhere", metric="taste", task="none", study="none")
    assert not page.exception
    assert len(page.dataframe[0].value) == 3
