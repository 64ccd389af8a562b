import numpy as np
import pytest

from bakeoff.evaluators.ranking import Game, bradley_terry


def games(wins: dict[tuple[str, str], int]) -> list[Game]:
    return [
        Game(first, second, 1.0, f"{first}{second}{n}")
        for (first, second), count in wins.items()
        for n in range(count)
    ]


def test_two_who_met_have_the_log_odds_of_their_wins() -> None:
    strong, weak = bradley_terry(games({("a", "b"): 60, ("b", "a"): 40}))
    # the guard is half a win for each
    assert (strong.name, weak.name) == ("a", "b")
    assert strong.value - weak.value == pytest.approx(np.log(60.5 / 40.5))
    assert strong.games == 100 and strong.value == pytest.approx(-weak.value)


def test_planted_strengths_lie_in_their_intervals_and_ranks() -> None:
    numbers, truth = np.random.default_rng(4), {"a": 1.0, "b": 0.3, "c": -0.3, "d": -1.0}
    held, ranked = [], []
    for _ in range(60):
        played = []
        for prompt in range(120):
            first, second = numbers.choice(list(truth), 2, replace=False)
            chance = 1 / (1 + np.exp(truth[second] - truth[first]))
            result = float(numbers.random() < chance)
            played.append(Game(first, second, result, str(prompt)))
        for rank, one in enumerate(sorted(bradley_terry(played), key=lambda one: one.name), 1):
            held.append(one.interval.low <= truth[one.name] <= one.interval.high)
            ranked.append(one.ranks[0] <= rank <= one.ranks[1])
    assert np.mean(held) > 0.9 and np.mean(ranked) > 0.95


def test_who_wins_all_has_a_finite_strength_and_says_so() -> None:
    best, worst = bradley_terry(games({("a", "b"): 3}))
    assert best.wins_all and worst.loses_all and not best.loses_all
    assert np.isfinite([best.value, *best.interval]).all()
    assert best.ranks == worst.ranks == (1, 2)  # three games tell nothing yet


def test_who_never_met_even_by_others_stand_in_groups_of_their_own() -> None:
    found = bradley_terry(games({("a", "b"): 5, ("c", "d"): 5}))
    assert {frozenset(one.name for one in found if one.group == group) for group in (0, 1)} == {
        frozenset("ab"),
        frozenset("cd"),
    }


def test_votes_of_one_prompt_are_no_more_than_one_opinion() -> None:
    many = [Game("a", "b", float(n < 7), f"{n}") for n in range(10)] * 5
    alone = [Game("a", "b", game.result, f"{place}") for place, game in enumerate(many)]
    clustered, independent = bradley_terry(many)[0], bradley_terry(alone)[0]
    width = [one.interval.high - one.interval.low for one in (clustered, independent)]
    assert clustered.value == independent.value and width[0] > 1.8 * width[1]


def test_ties_are_half_wins_and_no_games_no_strengths() -> None:
    first, second = bradley_terry([Game("a", "b", 0.5, str(n)) for n in range(30)])
    assert first.value == second.value == 0 and first.ranks == (1, 2)
    assert bradley_terry([]) == []
