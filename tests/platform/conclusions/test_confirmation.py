"""Who is chosen, on which prompts, and what the others say of it."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bakeoff.evaluators.statistics import win_rate
from bakeoff.platform.conclusions.confirmation import is_for_choosing
from bakeoff.platform.conclusions.leaderboard import Leaderboard, leaderboard
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.tables.leaderboard_table import render
from tests.store_writer import StoreWriter

PROMPTS = [f"x-{number}" for number in range(80)]
FIRST = [prompt for prompt in PROMPTS if is_for_choosing("study", prompt, 0.5)]
REST = [prompt for prompt in PROMPTS if prompt not in FIRST]
SPLIT = """
name: study
benchmark: shapes
metrics: [composition]
split: {chosen: 0.5}
models: [{model: tiny-meissonic, recipes: {vanilla: }}]
"""
VANILLA, LUCKY, GOOD, CONTROL = "m/vanilla", "m/lucky", "m/good", "m/control"
SCORES = {
    VANILLA: {prompt: [0] for prompt in PROMPTS},
    LUCKY: {prompt: [int(prompt in FIRST)] for prompt in PROMPTS},  # where it is chosen only
    GOOD: {prompt: [int(prompt in REST or prompt in FIRST[::2])] for prompt in PROMPTS},
    CONTROL: {prompt: [1] for prompt in PROMPTS},  # which is never chosen
}


def board_of(folder: Path, text: str | None, **scores: object) -> Leaderboard:
    writer = StoreWriter(folder / "store")
    writer.run({"composition": {**SCORES, **scores}}, copies={CONTROL: VANILLA}, text=text)
    return leaderboard(open_views(writer.path))


def printed(board: Leaderboard) -> str:
    output = StringIO()
    Console(file=output, width=120).print(render(board))
    return " ".join(output.getvalue().split())


def test_the_halves_are_about_equal_and_stay() -> None:
    assert 30 < len(FIRST) < 50
    most = [p for p in PROMPTS if is_for_choosing("study", p, 0.9)]
    assert set(FIRST) < set(most) and len(most) > 60
    chosen = [n for n in range(10, 20) if is_for_choosing("study", f"x-{n}", 0.5)]
    assert chosen == [10, 11, 14, 16, 17, 18, 19]  # for good: what stored studies have chosen on


def test_without_a_split_the_best_is_flagged(tmp_path: Path) -> None:
    board = board_of(tmp_path, None)
    assert [s.entry for s in board.standings if s.is_chosen] == [GOOD]
    assert board.confirmation and board.confirmation.candidates == 2
    assert board.confirmation.comparison is None
    assert "m/good wins most of 2 against m/vanilla on these very prompts" in printed(board)


def test_with_a_split_who_is_lucky_is_chosen_and_not_confirmed(tmp_path: Path) -> None:
    board = board_of(tmp_path, SPLIT)
    assert board.confirmation and board.confirmation.comparison
    found = board.confirmation
    assert (found.entry, found.prompts) == (LUCKY, len(FIRST))
    zeros = [0] * len(REST)
    assert found.comparison.wins == win_rate(REST, zeros, zeros)
    assert found.comparison.decision.verdict == "undecided"
    assert f"The {len(REST)} others say: 50.0 %" in printed(board)


def test_with_a_split_who_is_good_is_confirmed(tmp_path: Path) -> None:
    board = board_of(tmp_path, SPLIT, **{LUCKY: SCORES[VANILLA]})
    assert board.confirmation and board.confirmation.entry == GOOD
    assert board.confirmation.comparison.decision.verdict == "better"
    assert "better, p below 0.001" in printed(board)


@pytest.mark.parametrize("text", [None, SPLIT])
def test_one_alone_and_one_of_two_as_good_are_not_chosen(tmp_path: Path, text: str | None) -> None:
    tied = board_of(tmp_path / "tied", text, **{LUCKY: SCORES[GOOD]})
    assert tied.confirmation is None and not any(s.is_chosen for s in tied.standings)
    writer = StoreWriter(tmp_path / "alone")
    writer.run({"composition": {name: SCORES[name] for name in (VANILLA, GOOD)}}, text=text)
    alone = leaderboard(open_views(writer.path))
    assert alone.confirmation is None and "chosen" not in printed(alone)


@pytest.mark.parametrize("text", [None, SPLIT, "not: a study"])
def test_nobody_is_chosen_where_none_beats_the_baseline(tmp_path: Path, text: str | None) -> None:
    same = SCORES[VANILLA]
    board = board_of(tmp_path, text, **{LUCKY: same, GOOD: same})
    assert board.confirmation is None and not any(s.is_chosen for s in board.standings)
    assert "chosen" not in printed(board)
