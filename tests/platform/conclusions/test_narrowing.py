"""A leaderboard by another metric, or on one task."""

from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.platform.conclusions.equal_terms import group_entries
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.conclusions.narrowing import narrowed
from bakeoff.platform.queries.views import open_views
from tests.store_writer import StoreWriter

A, B = "m/a", "m/b"
SCORES = {
    "composition": {
        A: {"x-1": [1], "x-2": [1], "y-1": [0], "y-2": [0]},
        B: {"x-1": [0], "x-2": [1], "y-1": [1], "y-2": [1]},
    },
    "clip_score": {
        A: {"x-1": [1.0], "x-2": [3.0], "y-1": [5.0]},
        B: {"x-1": [2.0], "x-2": [4.0], "y-1": [4.0]},
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = StoreWriter(tmp_path_factory.mktemp("narrow") / "store")
    writer.run(SCORES)
    return writer.path


def test_a_task_has_scores_and_wins_of_its_own(store: Path) -> None:
    views = open_views(store)
    board = leaderboard(views)
    first, second = narrowed(views, board, "composition", "y").standings
    assert (first.scores["composition"].value, second.scores["composition"].value) == (0, 1)
    assert second.scores["clip_score"].value == 4 and second.scores["clip_score"].prompts == 1
    assert first.comparison is None and second.wins is not None
    assert (second.wins.wins, second.wins.losses) == (2, 0)


def test_the_counts_are_those_of_the_task(store: Path) -> None:
    views = open_views(store)
    board = leaderboard(views)
    assert [(one.samples, one.prompts) for one in board.standings] == [(4, 4), (4, 4)]
    found = narrowed(views, board, None, "y")
    assert [(one.samples, one.prompts) for one in found.standings] == [(2, 2), (2, 2)]
    assert not any(one.is_chosen for one in found.standings) and found.confirmation is None


@pytest.mark.parametrize("equivalent", [None, 0.1])
def test_another_metric_is_a_leaderboard_that_it_decides(
    store: Path, equivalent: float | None
) -> None:
    views = open_views(store)
    board = leaderboard(views, equivalent=equivalent)
    found = narrowed(views, board, "clip_score")
    wins = found.standings[1].wins
    assert wins is not None and (wins.wins, wins.losses, wins.missing) == (2, 1, 0)
    whole = leaderboard(views, decided_by="clip_score", equivalent=equivalent)
    assert not any(one.is_chosen for one in whole.standings)  # one alone has no choice
    standings = tuple(replace(one, tasks={}) for one in whole.standings)
    assert found == replace(whole, standings=standings)


def test_groups_of_a_task_meet_on_its_prompts_alone(store: Path) -> None:
    views = open_views(store)
    board = narrowed(views, leaderboard(views), None, "y")
    (group,) = group_entries(views, board, "compute", "y")
    assert [one.entry for one in group.standings] == [B, A]  # the best there first
    wins = group.standings[0].wins
    assert wins is not None and (wins.wins, wins.losses, wins.missing) == (2, 0, 0)


def test_what_is_not_narrowed_is_the_same(store: Path) -> None:
    views = open_views(store)
    board = leaderboard(views)
    assert narrowed(views, board, None) is board
    assert narrowed(views, board, board.decided_by) is board


def test_a_task_without_prompts_has_no_numbers(store: Path) -> None:
    views = open_views(store)
    found = narrowed(views, leaderboard(views), "composition", "z").standings
    assert [(one.scores, one.prompts) for one in found] == [({}, 0), ({}, 0)]
    assert all(one.wins is None or one.wins.estimate is None for one in found)
