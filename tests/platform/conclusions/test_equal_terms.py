"""Groups of equal steps and equal compute: who is in them, who leads, and whom they are against."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bakeoff.evaluators.comparison import decisions
from bakeoff.evaluators.statistics import win_rate, win_values
from bakeoff.platform.conclusions.equal_terms import Terms, _alike, group_entries, groups_as_json
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.tables.leaderboard_table import render_groups
from tests.store_writer import StoreWriter

PROMPTS = ["x-1", "x-2", "x-3", "y-1", "y-2", "y-3"]
RECIPES = {  # with row-evaluations, and right or wrong on each prompt
    "m/vanilla": ("steps=16 guidance_scale=2", 32, "110000"),
    "m/noise": ("steps=16 guidance_scale=2 noise=abs_cos(1)", 32, "111100"),
    "m/control": ("steps=16 guidance_scale=2", 32, "101000"),
    "m/zigzag": ("steps=16 guidance_scale=2 zigzag=low_token_prob", 77, "111000"),
    "m/noise32": ("steps=32 guidance_scale=2 noise=abs_cos(1)", 64, "111111"),
    "m/vanilla32": ("steps=32 guidance_scale=2", 64, "111000"),
    "m/vanilla40": ("steps=40 guidance_scale=2", 80, "000000"),
    "n/vanilla": ("guidance_scale=1.5", 128, "100000"),
    "n/noise": ("guidance_scale=1.5 noise=abs_cos(1)", 128, "110000"),
}
SCORES = {
    entry: {prompt: [int(digit)] for prompt, digit in zip(PROMPTS, digits, strict=True)}
    for entry, (_, _, digits) in RECIPES.items()
}


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    writer = StoreWriter(tmp_path_factory.mktemp("equal") / "store")
    writer.run(
        {"composition": SCORES},
        copies={"m/control": "m/vanilla"},
        recipes={entry: recipe for entry, (recipe, _, _) in RECIPES.items()},
        costs={entry: cost for entry, (_, cost, _) in RECIPES.items()},
    )
    return open_views(writer.path)


def grouped(views: Views, terms: Terms) -> dict[str, tuple[str | None, list[str]]]:
    groups = group_entries(views, leaderboard(views), terms)
    return {g.terms: (g.baseline, [one.entry for one in g.standings]) for g in groups}


def printed(views: Views, terms: Terms, width: int = 120) -> str:
    board = leaderboard(views)
    output = StringIO()
    groups = group_entries(views, board, terms)
    Console(file=output, width=width).print(render_groups(board, groups, terms))
    return output.getvalue()


def test_entries_of_equal_steps_are_ranked_together_best_first(views: Views) -> None:
    assert grouped(views, "steps") == {
        "steps 16": ("m/vanilla", ["m/noise", "m/zigzag", "m/vanilla", "m/control"]),
        "steps 32": ("m/vanilla32", ["m/noise32", "m/vanilla32"]),
        "steps 40": (None, ["m/vanilla40"]),
        "steps 64": ("n/vanilla", ["n/noise", "n/vanilla"]),  # one a token
    }


def test_entries_of_equal_compute_may_differ_by_a_twentieth(views: Views) -> None:
    assert grouped(views, "compute") == {
        "row-evaluations 32": ("m/vanilla", ["m/noise", "m/vanilla", "m/control"]),
        "row-evaluations 64": ("m/vanilla32", ["m/noise32", "m/vanilla32"]),
        "row-evaluations 77..80": ("m/vanilla40", ["m/zigzag", "m/vanilla40"]),
        "row-evaluations 128": ("n/vanilla", ["n/noise", "n/vanilla"]),
    }


@pytest.mark.parametrize("terms", ["steps", "compute"])
def test_a_group_holds_one_model_whatever_another_costs(tmp_path: Path, terms: Terms) -> None:
    writer = StoreWriter(tmp_path / "store")
    recipes = {"m/a": "steps=64", "n/a": "", "m/b": "steps=64", "n/b": "temperature=0.5"}
    scores = {entry: SCORES["m/noise"] for entry in recipes}
    writer.run({"composition": scores}, recipes=recipes, costs=dict.fromkeys(recipes, 64))
    views = open_views(writer.path)
    board = leaderboard(views)
    found = group_entries(views, board, terms)
    assert [(g.model, g.baseline) for g in found] == [("m", "m/a"), ("n", "n/a")]
    assert [{one.entry for one in g.standings} for g in found] == [{"m/a", "m/b"}, {"n/a", "n/b"}]
    first, *others = board.standings
    retrained = replace(board, standings=(replace(first, weights_hash="other"), *others))
    lone = [g.standings[0].entry for g in group_entries(views, retrained, terms) if not g.baseline]
    assert sorted(lone) == ["m/a", "m/b"]


def test_wins_are_against_the_baseline_of_the_group(views: Views) -> None:
    groups = group_entries(views, leaderboard(views), "compute")
    zigzag, plain = next(g for g in groups if g.baseline == "m/vanilla40").standings
    assert zigzag.wins == win_rate(PROMPTS, [1, 1, 1, 0, 0, 0], [0] * 6)
    assert (plain.wins, plain.is_baseline) == (None, True)
    alone = next(g for g in group_entries(views, leaderboard(views), "steps") if not g.baseline)
    assert alone.standings[0].wins is None


def test_verdicts_are_corrected_for_the_comparisons_of_all_groups(views: Views) -> None:
    groups = group_entries(views, leaderboard(views), "steps")
    each = [one for group in groups for one in group.standings if one.comparison]
    assert len(each) == 5
    values = [win_values(vector(one.entry), vector(one.comparison.opponent)) for one in each]
    assert [one.comparison.decision for one in each] == decisions(values)


def vector(entry: str) -> list[int]:
    return [int(digit) for digit in RECIPES[entry][2]]


def test_roles_are_those_of_the_group(views: Views) -> None:
    groups = group_entries(views, leaderboard(views), "steps")
    roles = {
        one.entry: (one.is_baseline, one.is_control) for group in groups for one in group.standings
    }
    assert roles["m/vanilla"] == (True, False) and roles["m/control"] == (False, True)
    assert roles["m/vanilla32"] == (True, False) and roles["m/vanilla40"] == (False, False)


def test_lower_may_be_better(views: Views) -> None:
    board = leaderboard(views)
    lower = replace(board.metrics[0], higher_is_better=False)
    first = group_entries(views, replace(board, metrics=(lower,)), "steps")[0]
    found = [one.entry for one in first.standings]
    assert found == ["m/vanilla", "m/control", "m/zigzag", "m/noise"]


def test_unreadable_recipes_and_entries_without_pictures_stand_alone(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    recipes = {"m/a": "steps=4", "m/b": "steps=4", "m/c": "stepps=4"}
    scores = {"m/a": SCORES["m/noise"], "m/b": {}, "m/c": SCORES["m/noise"]}
    writer.run({"composition": scores}, recipes=recipes)
    views = open_views(writer.path)
    assert grouped(views, "steps") == {
        "steps 4": ("m/a", ["m/a", "m/b"]),
        "unknown steps": (None, ["m/c"]),
    }
    assert grouped(views, "compute") == {
        "row-evaluations 32": ("m/a", ["m/a", "m/c"]),
        "unknown row-evaluations": (None, ["m/b"]),
    }


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 400).map(float), min_size=1))
def test_every_entry_is_in_one_group_of_like_cost(costs: dict[str, float]) -> None:
    baseline = next(iter(costs))
    groups = list(_alike(baseline, costs, 0.05))
    assert sorted(entry for group in groups for entry in group) == sorted(costs)
    cheapest = [min(costs[entry] for entry in group) for group in groups]
    assert cheapest == sorted(cheapest)
    for group in groups:
        spent = [costs[entry] for entry in group]
        assert max(spent) - min(spent) <= 0.1 * max(spent)
        if baseline in group:
            distances = {entry: abs(cost - costs[baseline]) for entry, cost in costs.items()}
            assert group == {
                entry for entry, distance in distances.items() if distance <= 0.05 * costs[baseline]
            }


def test_the_table_names_terms_and_baseline_of_every_group(views: Views) -> None:
    text = " ".join(printed(views, "steps").split())
    assert "steps 16: wins against m/vanilla" in text
    assert "steps 64: wins against n/vanilla" in text
    assert "alone at their steps: nothing to compare with" in text and "steps 40" in text
    assert "beats its group's baseline on composition" in text
    assert "A/A control m/control is m/vanilla with other seeds" in text
    assert "entries of one model with equal steps" in text
    assert "they compare within a model only" in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_groups_fit_the_terminal(views: Views, width: int) -> None:
    text = printed(views, "compute", width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def test_json_holds_the_groups(views: Views) -> None:
    board = leaderboard(views)
    groups = group_entries(views, board, "steps")
    found = json.loads(json.dumps(groups_as_json(board, groups), allow_nan=False))
    facts = [(g["model"], g["terms"], g["baseline"], len(g["standings"])) for g in found["groups"]]
    assert facts == [
        ("m", "steps 16", "m/vanilla", 4),
        ("m", "steps 32", "m/vanilla32", 2),
        ("m", "steps 40", None, 1),
        ("n", "steps 64", "n/vanilla", 2),
    ]
    assert found["decided_by"] == "composition"
