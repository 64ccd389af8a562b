"""The first page's logic, without a browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import streamlit as st
from streamlit.proto.VegaLiteChart_pb2 import VegaLiteChart
from streamlit.testing.v1 import AppTest

from bakeoff.platform.store import Store
from bakeoff.platform.views import STORE_VARIABLE
from tests.store_writer import StoreWriter

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    yield
    st.cache_resource.clear()


def opened(store: Path | None, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> AppTest:
    if store is None:
        monkeypatch.delenv(STORE_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(STORE_VARIABLE, str(store))
    page = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in parameters.items():
        page.query_params[name] = value
    return page.run()


def html(page: AppTest) -> str:
    return "\n".join(element.proto.body for element in page.get("html"))


def charts(page: AppTest) -> list[VegaLiteChart]:
    return [element.proto for element in page.get("vega_lite_chart")]


def rows(chart: VegaLiteChart) -> list[dict[str, Any]]:
    """Return what a chart is drawn from; Streamlit sends it apart from the specification."""
    data = chart.datasets[0].data.data if chart.datasets else chart.data.data
    return pa.ipc.open_stream(data).read_all().to_pylist()


def test_the_leaderboard_has_a_line_for_each_entry(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(store, monkeypatch)
    assert not page.exception and not page.error
    table = page.dataframe[0].value
    assert list(table["entry"]) == ["m/vanilla", "m/control", "n/vanilla"]
    assert list(table["role"]) == ["baseline", "A/A control", ""]
    assert list(table["prompts"]) == [6, 6, 6]
    assert table["composition % ↑"][0] == "67 (30..90)"  # Wilson of 4 in 6
    assert table["s/image"][0] == pytest.approx(0.25)


def test_entries_of_equal_compute_have_a_table_of_their_own(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
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
    page = opened(writer.path, monkeypatch, at="equal compute")
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


def test_a_groups_baseline_is_text_and_never_markup(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"m/<b>bold": {"x-1": [1]}, "m/other": {"x-1": [0]}}
    writer.run({"composition": scores})
    page = opened(writer.path, monkeypatch, at="equal compute")
    assert "against m/&lt;b&gt;bold" in html(page) and "<b>bold" not in html(page)


def test_the_heat_map_shows_every_pair_with_its_n(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heat_map = charts(opened(store, monkeypatch))[1]
    cells = {(row["entry"], row["opponent"]): row for row in rows(heat_map)}
    assert len(cells) == 6
    assert cells["m/control", "m/vanilla"]["share"] == 0.5
    assert cells["m/control", "m/vanilla"]["n"] == "n 6"
    assert cells["m/vanilla", "n/vanilla"]["n"] == "n 5"
    assert cells["m/vanilla", "n/vanilla"]["left out"] == 1


def test_models_keep_their_colors_in_chart_and_pictures(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(store, monkeypatch)
    chart = json.loads(charts(page)[0].spec)
    scale = chart["layer"][0]["encoding"]["color"]["scale"]
    colors = dict(zip(scale["domain"], scale["range"], strict=True))
    assert f"solid {colors['m']}" in html(page) and f"solid {colors['n']}" in html(page)


def test_a_prompt_is_text_and_never_markup(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(store, monkeypatch)
    assert "&lt;script&gt;" in html(page) and "<script" not in html(page)
    assert not any("javascript:" in element.value for element in page.markdown)
    assert len(html(page)) < 20_000


def test_pictures_come_with_their_scores(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(store, monkeypatch, page="2")
    assert len(page.get("image")) == 2 * 3
    assert html(page).count("'>composition ") == 5
    assert html(page).count(">no score<") == 1


def test_the_url_says_what_is_shown(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(store, monkeypatch, entries="n/vanilla", page="2", metric="composition")
    assert page.multiselect(key="entries").value == ["n/vanilla"]
    assert page.number_input(key="page").value == 2
    assert len(page.get("image")) == 2


def test_a_url_of_nonsense_shows_the_default(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(store, monkeypatch, entries="nobody", page="99", metric="taste", study="none")
    assert not page.exception
    assert len(page.dataframe[0].value) == 3


def test_no_entry_chosen_asks_for_one(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(store, monkeypatch)
    page.multiselect(key="entries").set_value([]).run()
    assert "Choose at least one entry." in [element.value for element in page.info]


def test_new_results_show_at_the_next_visit(
    store: Path, writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(opened(store, monkeypatch).dataframe[0].value) == 3
    writer.run({"composition": {"m/vanilla": {"colors-0": [1]}}}, minute=9, part="-later")
    assert len(opened(store, monkeypatch).dataframe[0].value) == 1


def test_a_study_can_be_chosen(
    store: Path, writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.run({"composition": {"k/a": {"x-1": [1]}}}, study="later", minute=9)
    page = opened(store, monkeypatch)
    assert page.selectbox(key="study").value == "later"
    page.selectbox(key="study").set_value("study").run()
    assert len(page.dataframe[0].value) == 3


def test_a_broken_picture_is_named_and_the_others_stay(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tests.store_writer.png", lambda text: b"no picture")
        writer.run({"composition": {"m/a": {"x-1": [1]}}})
    page = opened(writer.path, monkeypatch)
    assert not page.exception and "unreadable picture" in html(page)


def test_a_study_without_pictures_says_so(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.run({"composition": {"m/a": {}}})
    page = opened(writer.path, monkeypatch)
    assert not page.exception and "no pictures yet" in page.info[0].value


def test_an_empty_store_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path / "empty").create()
    page = opened(tmp_path / "empty", monkeypatch)
    assert not page.exception and "no run yet" in page.info[0].value


def test_a_missing_store_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(tmp_path / "nowhere", monkeypatch)
    assert not page.exception and "does not exist" in page.text[0].value


def test_no_store_named_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(None, monkeypatch)
    assert not page.exception and "No store is named" in page.error[0].value
