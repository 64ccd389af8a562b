import pytest

from bakeoff.samplers.choice_table import CHOICES, FREE, Choice, Cost
from bakeoff.samplers.cost import (
    call_scales,
    guided_positions,
    network_calls,
    row_evaluations,
    steps_within,
    token_evaluations,
)
from bakeoff.samplers.recipe import Recipe

# Row-evaluations with guidance for N = 16 and 64 steps.
TABLE = [
    ("", 32, 128),
    ("schedule=one_minus_t_pow(0.6) noise=abs_cos differential=75 argmax_from=8", 32, 128),
    ("momentum=1", 32, 128),
    ("momentum=2(rule=paper_literal)", 32, 128),
    ("zigzag=recover", 32, 128),
    ("zigzag=random", 62, 254),
    ("zigzag=masked(guidance=0)", 77, 317),
    ("zigzag=masked(guidance=1)", 77, 317),
    ("zigzag=masked(guidance=-1)", 92, 380),
    ("preset=official zigzag=masked(guidance=9)", 92, 380),
    ("zigzag=random(stop=8)", 48, 144),  # 2N + 2k
    ("zigzag=masked(start=2,stop=10)", 56, 152),  # 2N + 3k
    ("zigzag=high_max_prob(guidance=2,stop=8)", 64, 160),  # 2N + 4k
]


@pytest.mark.parametrize(("text", "short", "long"), TABLE)
def test_costs_are_those_of_the_table(text: str, short: int, long: int) -> None:
    recipe = Recipe.from_text(f"guidance_scale=9 {text}")
    assert (row_evaluations(recipe, 16), row_evaluations(recipe, 64)) == (short, long)


def test_the_papers_masked_z_sampling_at_16_steps_takes_46_calls() -> None:
    recipe = Recipe.from_text("guidance_scale=9 zigzag=masked")
    assert network_calls(recipe, 16) == 46
    assert network_calls(Recipe.from_text("guidance_scale=9"), 48) == 48


def test_one_row_is_enough_outside_the_guidance_interval_and_without_guidance() -> None:
    inside = Recipe.from_text("guidance_scale=9 guidance_interval=1..3 zigzag=random(stop=2)")
    assert list(call_scales(inside, 4)) == [1, 1, 9, 9, 9, 1]
    assert row_evaluations(inside, 4) == 9 and network_calls(inside, 4) == 6
    assert row_evaluations(Recipe(), 64) == 64


@pytest.mark.parametrize("text", [text for text, *_ in TABLE])
def test_budget_is_spent_but_not_exceeded(text: str) -> None:
    recipe = Recipe.from_text(f"guidance_scale=9 {text}")
    for budget in range(1, 400, 7):
        steps = steps_within(recipe, budget, 4096)
        assert steps == 0 or row_evaluations(recipe, steps) <= budget
        assert row_evaluations(recipe, steps + 1) > budget


def test_a_token_costs_two_rows_until_guidance_ends_and_one_behind_it() -> None:
    for text, tokens, expected in [
        ("", 64, 64),
        ("guidance_scale=3", 64, 128),
        ("guidance_scale=3 guidance_interval=2..14", 64, 78),
        ("guidance_scale=3 guidance_interval=64..70", 64, 64),
        ("guidance_scale=3 guidance_interval=60..70", 64, 128),
    ]:
        assert token_evaluations(Recipe.from_text(text), tokens) == expected
    assert not guided_positions(Recipe(), 64)


def test_choices_tell_their_cost_for_each_family() -> None:
    costs = {choice.example: choice.costs for choice in CHOICES}
    assert costs["guidance_interval=2..14"] == {
        "masked": Cost(-1, 12),
        "autoregressive": Cost(-1, 14),  # rows without the condition are kept from the first on
    }
    assert costs["jacobi=16"] == {"autoregressive": "16 instead of 1 per row and pass"}
    assert costs["zigzag=low_token_prob(guidance=9)"] == {"masked": Cost(4, -4)}
    assert costs["steps=16"] == {"masked": FREE, "diffusion": FREE}


@pytest.mark.parametrize("choice", CHOICES, ids=[choice.example for choice in CHOICES])
def test_choices_have_the_costs_of_their_families(choice: Choice) -> None:
    assert set(choice.costs) == set(choice.families)
