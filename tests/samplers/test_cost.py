import pytest

from bakeoff.samplers.cost import call_scales, network_calls, row_evaluations, steps_within
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
