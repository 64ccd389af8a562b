from itertools import combinations

import numpy as np
import pytest

from bakeoff.evaluators.factorial import effects, variance_shares

GRID = [frozenset(chosen) for size in range(4) for chosen in combinations("xyz", size)]


def gains(entry: frozenset[str]) -> float:
    return 3 * ("x" in entry) - 2 * ("y" in entry) + 4 * ({"x", "z"} <= entry)


def test_planted_effects_come_out_exactly_without_noise() -> None:
    difficulty = np.array([[0.0], [10.0], [25.0]])  # of prompts, which no effect may see
    found = effects(GRID, difficulty + [gains(entry) for entry in GRID])
    assert {name: one.value for name, one in found.main.items()} == pytest.approx(
        {"x": 5, "y": -2, "z": 2}
    )
    assert {pair: one.value for pair, one in found.interactions.items()} == pytest.approx(
        {("x", "y"): 0, ("x", "z"): 4, ("y", "z"): 0}, abs=1e-9
    )
    assert found.shapley
    shares = {name: one.value for name, one in found.shapley.items()}
    assert shares == pytest.approx({"x": 5, "y": -2, "z": 2})
    assert sum(shares.values()) == pytest.approx(gains(frozenset("xyz")))


def test_intervals_hold_planted_effects_under_noise() -> None:
    numbers, held = np.random.default_rng(2), []
    for _ in range(300):
        values = numbers.normal(size=(25, 1)) + numbers.normal(0, 2, (25, 8))
        found = effects(GRID, values + [gains(entry) for entry in GRID])
        assert found.shapley
        held.append([found.main["x"].contains(5), found.shapley["z"].contains(2)])
    assert (np.mean(held, axis=0) > 0.92).all()


def test_effects_of_yes_and_no_keep_a_width_where_prompts_tie() -> None:
    values = np.ones((20, 8))
    values[:10] = 0
    found = effects(GRID, values, binary=True)
    assert found.shapley
    for one in (*found.main.values(), *found.interactions.values(), *found.shapley.values()):
        assert one.value == 0 and one.interval
        assert one.interval.low < -0.01 and one.interval.high > 0.01
    plain = effects(GRID, values)
    assert all(one.interval is None and one.value == 0 for one in plain.main.values())


def test_effects_of_yes_and_no_are_held() -> None:
    numbers, held = np.random.default_rng(4), []
    for _ in range(400):
        values = (numbers.random((30, 4)) < [0.5, 0.5, 0.97, 0.97]).astype(float)
        entries = [frozenset(), frozenset("x"), frozenset("y"), frozenset("xy")]
        found = effects(entries, values, binary=True)
        held.append([found.main["y"].contains(0.47), found.main["x"].contains(0)])
    assert (np.mean(held, axis=0) > 0.93).all()


def test_one_choice_at_a_time_has_effects_and_no_shares() -> None:
    entries = [frozenset(), frozenset("x"), frozenset("y")]
    found = effects(entries, np.array([[1.0, 2, 5], [2, 3, 6]]))
    assert found.main["x"].value == pytest.approx(1) and found.main["y"].value == pytest.approx(4)
    assert found.interactions == {} and found.shapley is None


def test_designs_that_tell_nothing_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="run a grid"):
        effects([frozenset(), frozenset("xy")], np.ones((3, 2)))
    with pytest.raises(ValueError, match="two are alike"):
        effects([frozenset("x"), frozenset("x")], np.ones((3, 2)))
    with pytest.raises(ValueError, match="do not match 2 entries"):
        effects([frozenset(), frozenset("x")], np.ones((3, 4)))


def test_variance_goes_to_prompts_recipes_and_seeds() -> None:
    numbers = np.random.default_rng(6)
    values = (
        numbers.normal(0, 3, (400, 1, 1))
        + numbers.normal(0, 1, (400, 5, 1))
        + numbers.normal(0, 1.5, (400, 1, 4))  # all recipes start from the same noise
        + numbers.normal(0, 2, (400, 5, 4))
        + np.arange(5)[:, None]  # recipes' own means are no variance of a picture
    )
    shares = variance_shares(values)
    assert shares == pytest.approx((9, 1, 2.25, 4), rel=0.15)
    assert shares.of_difference(100, 4) == pytest.approx(2 * (1 + 1) / 100, rel=0.15)
    assert shares.best_seeds() == 1 and shares.best_seeds(prompt_cost=9) == 6
    assert variance_shares(np.ones((3, 2, 2))) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="2 or more prompts, recipes and seeds"):
        variance_shares(np.ones((3, 2, 1)))


def test_two_recipes_differ_as_much_as_the_shares_foretell() -> None:
    numbers, found = np.random.default_rng(7), []
    for _ in range(500):
        values = numbers.normal(0, 1, (40, 2, 1)) + numbers.normal(0, 2, (40, 2, 3))
        found.append(values.mean(axis=(0, 2)) @ [1, -1])
    foretold = 2 * (1 + 4 / 3) / 40
    assert np.var(found) == pytest.approx(foretold, rel=0.2)
