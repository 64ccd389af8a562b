"""What a recipe says and its few steps leave without any effect.

Where the number of steps is not known, as of autoregressive models, there are many.
"""

from typing import TYPE_CHECKING

from bakeoff.samplers.errors import InputError, cut

if TYPE_CHECKING:
    from bakeoff.samplers.recipe import Recipe

NOISY_FROM = {"sin": 3, "linear_up": 2}  # steps; with fewer the curve is zero at all of them


def check_few_steps(recipe: "Recipe") -> None:
    """Check that the choices that need steps have enough of them.

    Raises:
        InputError: one has no effect in so few.
    """
    if recipe.steps is None:
        return
    _check_differential(recipe, recipe.steps)
    _check_guidance(recipe, recipe.steps)
    _check_momentum(recipe, recipe.steps)


def check_noise(recipe: "Recipe") -> None:
    """Check that noise has a step at which it is above zero.

    Asked with the family: models that take no noise are to be told that, whatever their steps.

    Raises:
        InputError: it has none.
    """
    noise, steps = recipe.noise, recipe.steps
    if noise is None or steps is None:
        return
    if steps < (least := NOISY_FROM.get(noise.curve, 1)):
        raise InputError(
            f"recipe noise={cut(recipe.text_of('noise'))} has no effect with steps={steps}: "
            f"its curve is zero at every step, unless there are at least {least}"
        )


def _check_differential(recipe: "Recipe", steps: int) -> None:
    differential = recipe.differential
    if differential is None or steps > 2:
        return
    # Z-sampling predicts the first step twice, which leaves something to compare
    twice = recipe.zigzag is not None and differential.compare == "calls"
    if steps == 2 and (differential.last or twice):
        return
    only = ", and only last=true treats the last" if steps == 2 else ""
    raise InputError(
        f"recipe differential has no effect with steps={steps}: "
        f"the first has nothing to compare with{only}"
    )


def _check_guidance(recipe: "Recipe", steps: int) -> None:
    scales = (recipe.guidance_at(step, steps) for step in range(steps))
    if recipe.guidance_scale == 1 or any(scale != 1 for scale in scales):
        return
    interval = recipe.text_of("guidance_interval")
    within = f" and guidance_interval={interval}" if recipe.guidance_interval else ""
    raise InputError(
        f"recipe guidance_schedule={recipe.guidance_schedule} leaves no guidance with "
        f"steps={steps}{within}: it rises from 1, which is none, at step 0"
    )


def _check_momentum(recipe: "Recipe", steps: int) -> None:
    momentum = recipe.momentum
    if momentum is None or momentum.order == 1:
        return
    # as printed, Eq. 4 takes nothing from the step before in the last step, either
    least = 3 if momentum.rule == "paper_literal" else 2
    if steps < least:
        raise InputError(
            f"recipe momentum={cut(recipe.text_of('momentum'))} with steps={steps} does what "
            f"momentum=1 does: order 2 needs at least {least} steps"
        )
