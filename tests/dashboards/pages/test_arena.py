"""The arena's logic, without a browser: questions tell no names, answers are stored."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bakeoff.platform.store.store import Store
from tests.dashboards.conftest import HOSTILE
from tests.dashboards.visits import Visit, html, visitor
from tests.store_writer import StoreWriter


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("arena", monkeypatch)


def votes(store: Path) -> list[dict]:
    names = ["left_model", "right_model", "left_seed", "result", "voter", "prompt_id", "prompt"]
    return Store(store).read("votes", ["voted", *names]).sort_by("voted").to_pylist()


def answer(page: AppTest, label: str) -> AppTest:
    (button,) = (one for one in page.button if one.label == label)
    return button.click().run()


def test_a_question_shows_two_pictures_and_no_name(store: Path, visit: Visit) -> None:
    page = visit(store)
    assert not page.exception and not page.error
    shown = html(page)
    assert shown.count("<img") == 2
    assert not [name for name in ("m/vanilla", "m/control", "n/vanilla") if name in shown]
    assert [button.label for button in page.button] == [
        "Left is better",
        "Neither",
        "Right is better",
    ]
    assert votes(store) == []


def test_an_answer_is_stored_and_then_names_are_told(store: Path, visit: Visit) -> None:
    page = visit(store, against="m/vanilla", entry="n/vanilla")
    page.text_input(key="voter").set_value("somebody").run()
    page = answer(page, "Left is better")
    (vote,) = votes(store)
    assert (vote["result"], vote["voter"]) == (1.0, "somebody")
    assert {vote["left_model"], vote["right_model"]} == {"m", "n"}
    told = next(text.value for text in page.text if text.value.startswith("Before:"))
    assert f"left {vote['left_model']}/vanilla" in told and "you preferred the left one" in told
    page = answer(page, "Neither")
    assert [vote["result"] for vote in votes(store)] == [1.0, 0.5]
    assert len({vote["prompt_id"] for vote in votes(store)}) == 2


def test_what_the_votes_say_stands_below_with_n(store: Path, visit: Visit) -> None:
    page = visit(store, against="m/vanilla", entry="n/vanilla")
    assert "No vote on this study" in page.info[0].value
    for _ in range(6):
        duel_left = "Left is better"
        page = answer(page, duel_left)
    assert not page.exception and not page.error
    strengths, *_, people = (element.value for element in page.dataframe)
    assert set(strengths["entry"]) == {"m/vanilla", "n/vanilla"}
    assert list(strengths["votes"]) == [6, 6]
    assert list(people["votes"]) == [6] and list(people["voted prompts"]) == [6]
    assert any(text.value == "6 votes, 6 prompts" for text in page.text)


def test_the_pair_with_fewest_votes_is_asked_about(store: Path, visit: Visit) -> None:
    page = visit(store)
    for _ in range(4):
        page = answer(page, "Right is better")
    pairs = [frozenset((one["left_model"], one["right_model"])) for one in votes(store)]
    assert pairs.count(frozenset("m")) == pairs.count(frozenset("mn")) == 2


def test_a_store_that_cannot_be_written_says_so(store: Path, visit: Visit) -> None:
    page = visit(store)
    (store / "votes").write_text("in the way")
    page = answer(page, "Neither")
    assert not page.exception
    assert "The vote was not stored" in page.error[0].value


def test_a_prompt_is_text(store: Path, visit: Visit) -> None:
    page = visit(store, against="m/vanilla", entry="m/control")
    for _ in range(6):
        page = answer(page, "Neither")
    assert HOSTILE.strip() in {vote["prompt"][: len(HOSTILE)].strip() for vote in votes(store)}
    assert "<script" not in html(page)


def test_one_entry_alone_has_no_question(writer: StoreWriter, visit: Visit) -> None:
    writer.run({"composition": {"m/a": {"x-1": [1]}}})
    page = visit(writer.path)
    assert not page.exception and "two entries" in page.info[0].value


def test_entries_without_a_common_prompt_have_no_question(
    writer: StoreWriter, visit: Visit
) -> None:
    writer.run({"composition": {"m/a": {"x-1": [1]}, "m/b": {"x-2": [1]}}})
    page = visit(writer.path)
    assert not page.exception and "no picture of the same prompt" in page.info[0].value


@pytest.mark.parametrize("broken", [None, b"no picture"])
def test_what_cannot_be_seen_is_not_voted_on(
    broken: bytes | None, writer: StoreWriter, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tests.store_writer.png", lambda text: broken)
        writer.run({"composition": {"m/a": {"x-1": [1]}, "m/b": {"x-1": [1]}}})
    page = visit(writer.path)
    assert any(text.value.startswith("There is nothing to judge") for text in page.text)
    assert [button.label for button in page.button] == ["Another question"]
    page = answer(page, "Another question")
    assert not page.exception and votes(writer.path) == []
