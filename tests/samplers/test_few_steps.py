"""What has no effect in the few steps of a recipe is refused; what has one is not."""

import pytest

from bakeoff.samplers.choices import Noise
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.momentum import Solver
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.schedules import DEVIATIONS, noise_deviation


def refusal(text: str) -> str:
    """Return the sentence that refuses a recipe, or nothing."""
    try:
        recipe = Recipe.from_text(text)
        recipe.check_family("masked" if recipe.steps else "autoregressive")
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "steps=1 differential=75(last=true)",
            "recipe differential has no effect with steps=1: the first has nothing to compare with",
        ),
        (
            "steps=2 differential=75",
            "recipe differential has no effect with steps=2: the first has nothing to compare "
            "with, and only last=true treats the last",
        ),
        (
            'steps=1 guidance_scale=9 guidance_schedule=linear negative_prompt="blurry"',
            "recipe guidance_schedule=linear leaves no guidance with steps=1: it rises from 1, "
            "which is none, at step 0",
        ),
        (
            "steps=8 guidance_scale=9 guidance_schedule=linear guidance_interval=0..1",
            "recipe guidance_schedule=linear leaves no guidance with steps=8 and "
            "guidance_interval=0..1: it rises from 1, which is none, at step 0",
        ),
        (
            "steps=2 noise=sin",
            "recipe noise=sin(1) has no effect with steps=2: its curve is zero at every step, "
            "unless there are at least 3",
        ),
        (
            "steps=1 momentum=2",
            "recipe momentum=2 with steps=1 does what momentum=1 does: order 2 needs at least 2 "
            "steps",
        ),
    ],
)
def test_what_has_no_effect_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


def test_a_budget_of_few_steps_is_told_with_them() -> None:
    assert refusal("row_evaluations=2 differential=75").endswith(
        "treats the last (the 2 steps that row_evaluations=2 pays for)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "differential=75 noise=sin",  # of so many steps as an autoregressive model has tokens
        "steps=3 differential=75",
        "steps=2 differential=75(last=true)",
        "steps=2 differential=75 zigzag=masked",
        "steps=2 guidance_scale=9 guidance_schedule=linear",
        "steps=8 guidance_scale=9 guidance_schedule=linear guidance_interval=0..2",
        "steps=1 guidance_scale=9",
    ],
)
def test_what_has_an_effect_is_taken(text: str) -> None:
    assert refusal(text) == ""


def test_z_sampling_gives_two_steps_nothing_where_steps_are_compared() -> None:
    assert refusal("steps=2 differential=75(compare=steps) zigzag=masked")
    assert not refusal("steps=3 differential=75(compare=steps) zigzag=masked")


@pytest.mark.parametrize("curve", DEVIATIONS)
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_noise_is_refused_where_its_curve_is_zero_throughout(curve: str, steps: int) -> None:
    noise = Noise(curve=curve, amplitude=1.0)  # type: ignore[arg-type]
    deviations = [noise_deviation(noise, step, steps) for step in range(steps)]
    assert bool(refusal(f"steps={steps} noise={curve}")) is (max(deviations) < 1e-9)


@pytest.mark.parametrize("rule", ["derived", "paper_literal"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_second_order_is_refused_where_it_is_the_first(rule: str, steps: int) -> None:
    recipe = Recipe.from_text(f"momentum=2(rule={rule})")
    assert recipe.momentum
    solver = Solver(recipe.momentum, recipe.schedule, steps)
    looks_back = any(solver.weights) or any(solver.earlier)
    assert bool(refusal(f"steps={steps} momentum=2(rule={rule})")) is not looks_back
