"""The frame of all pages, without a browser: the store, the study, and what is missing."""

from pathlib import Path
from threading import Event
from weakref import ref

import pytest
import streamlit as st

from bakeoff.dashboards.app import read_ahead
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.store.store import Store
from tests.dashboards.visits import Visit, visitor
from tests.store_writer import StoreWriter


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("", monkeypatch)


def test_new_results_show_at_the_next_visit(
    store: Path, writer: StoreWriter, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakeoff.dashboards.latest.PATIENCE", 0)
    assert len(visit(store).dataframe[0].value) == 3
    writer.run({"composition": {"m/vanilla": {"colors-0": [1]}}}, minute=9, part="-later")
    st.cache_data.clear()  # as time does
    assert len(visit(store).dataframe[0].value) == 1


def test_a_store_is_shown_where_no_snapshot_can_be_kept(
    store: Path, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    page = visit(store)
    assert not page.exception and len(page.dataframe[0].value) == 3


def test_the_scores_that_people_may_choose_next_are_read_ahead(
    store: Path, writer: StoreWriter, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"m/vanilla": {"x-1": [0.25]}, "m/control": {"x-1": [0.5]}}
    everything = {"composition": scores, "clip_score": scores}
    writer.run(everything, study="later", minute=9)
    read, both = list[str](), Event()

    def heard(views: Views, study: str, metric: str, **chosen: object) -> None:
        read.append(f"{study} {metric}")
        if len(read) == len(everything):
            both.set()

    monkeypatch.setattr("bakeoff.dashboards.app.scores_of", heard)
    visit(store)
    assert both.wait(30)
    assert read == [f"later {metric}" for metric in everything]


def test_nothing_is_read_ahead_of_a_store_that_is_not_shown_any_more(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()
    monkeypatch.setattr("bakeoff.dashboards.app.scores_of", lambda *asked: read.append(asked[2]))
    views = open_views(store)
    shown = ref(views)
    read_ahead(shown, "study", ["composition"])
    assert read == ["composition"]
    del views
    read_ahead(shown, "study", ["composition"])
    assert read == ["composition"]


def test_a_study_can_be_chosen(store: Path, writer: StoreWriter, visit: Visit) -> None:
    writer.run({"composition": {"k/a": {"x-1": [1]}}}, study="later", minute=9)
    page = visit(store)
    assert page.selectbox(key="study").value == "later"
    page.selectbox(key="study").set_value("study").run()
    assert len(page.dataframe[0].value) == 3


def test_a_part_that_is_gone_is_not_missed(store: Path, writer: StoreWriter, visit: Visit) -> None:
    visit(store)
    for part in (store / "scores").rglob("*m-vanilla*"):
        part.unlink()
    page = visit(store, metric="composition")
    assert not page.exception and not page.error


def test_a_study_without_pictures_says_so(writer: StoreWriter, visit: Visit) -> None:
    writer.run({"composition": {"m/a": {}}})
    page = visit(writer.path)
    assert not page.exception and "no pictures yet" in page.info[0].value


def test_an_empty_store_says_so(tmp_path: Path, visit: Visit) -> None:
    Store(tmp_path / "empty").create()
    page = visit(tmp_path / "empty")
    assert not page.exception and "no run yet" in page.info[0].value


def test_a_missing_store_is_an_error_in_words(tmp_path: Path, visit: Visit) -> None:
    page = visit(tmp_path / "nowhere")
    assert not page.exception and "does not exist" in page.text[0].value


def test_no_store_named_is_an_error_in_words(visit: Visit) -> None:
    page = visit(None)
    assert not page.exception and "No store is named" in page.error[0].value
