"""The page of pictures side by side, without a browser."""

from pathlib import Path

import pytest

from bakeoff.platform.tables.colors import PALETTE
from tests.dashboards.visits import Visit, html, visitor
from tests.store_writer import StoreWriter

PICTURE = "src='data:image/png"  # markers are no PNG


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("head-to-head", monkeypatch)


def test_a_prompt_is_shown_with_a_picture_and_scores_of_each_entry(
    store: Path, visit: Visit
) -> None:
    page = visit(store)
    assert not page.exception and not page.error
    assert html(page).count(PICTURE) == 3
    assert html(page).count(">composition ") == 3
    assert PALETTE[0] in html(page) and PALETTE[1] in html(page)


def test_the_most_disagreed_prompt_comes_first(store: Path, visit: Visit) -> None:
    page = visit(store)
    assert "colors-0" in html(page) or "&lt;script&gt;" in html(page)
    page.selectbox(key="order").set_value("benchmark order").run()


def test_a_score_that_is_missing_is_named(store: Path, visit: Visit) -> None:
    page = visit(store, find="counting-2")
    assert html(page).count(">composition ") == 2 and html(page).count(">no score<") == 1


def test_buttons_step_through_prompts_and_stay_within(store: Path, visit: Visit) -> None:
    page = visit(store)
    page.button[0].click().run()
    assert page.number_input(key="place").value == 1
    for _ in range(9):
        page.button[1].click().run()
    assert page.number_input(key="place").value == 6


def test_a_search_begins_at_its_first_prompt(store: Path, visit: Visit) -> None:
    page = visit(store, place="5")
    page.text_input(key="find").set_value("COLORS-1").run()
    assert not page.exception
    assert page.number_input(key="place").value == 1
    assert "a photo of colors-1" in html(page)
    page.text_input(key="find").set_value("nothing like it").run()
    assert "fits the search" in page.info[0].value


def test_a_prompt_is_text_and_never_markup(store: Path, visit: Visit) -> None:
    page = visit(store, find="script")
    assert "&lt;script&gt;" in html(page) and "<script" not in html(page)
    assert not any("javascript:" in element.value for element in page.markdown)
    assert len(html(page)) < 20_000


def test_the_address_says_what_is_shown(store: Path, visit: Visit) -> None:
    page = visit(store, entries="n/vanilla", place="2")
    assert page.multiselect(key="entries").value == ["n/vanilla"]
    assert page.number_input(key="place").value == 2
    assert html(page).count(PICTURE) == 1


def test_an_address_of_nonsense_shows_the_default(store: Path, visit: Visit) -> None:
    page = visit(store, entries="nobody", place="99", order="taste", study="none", seed="9")
    assert not page.exception
    assert html(page).count(PICTURE) == 3


def test_no_entry_chosen_asks_for_one(store: Path, visit: Visit) -> None:
    page = visit(store)
    page.multiselect(key="entries").set_value([]).run()
    assert "Choose at least one entry." in [element.value for element in page.info]


def test_a_broken_picture_is_named_and_the_others_stay(
    writer: StoreWriter, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tests.store_writer.png", lambda text: b"no picture")
        writer.run({"composition": {"m/a": {"x-1": [1]}}})
    page = visit(writer.path)
    assert not page.exception and "unreadable picture" in html(page)
