"""What cannot combine in a recipe, and which family of models each choice means something to."""

from typing import TYPE_CHECKING

from bakeoff.samplers.errors import InputError, cut, unknown
from bakeoff.samplers.few_steps import check_few_steps, check_noise
from bakeoff.samplers.recipe_text import number, word

if TYPE_CHECKING:
    from bakeoff.samplers.recipe import Recipe

FAMILIES = ("masked", "autoregressive", "diffusion")

MASKED_ONLY = {
    "steps": "they take one step for each token",
    "guidance_schedule": "they guide all positions alike",
    "temperature_schedule": "they draw all tokens at one temperature",
    "masking_temperature": "they never mask a token again",
    "schedule": "they reveal one token after another",
    "order": "they go from left to right, row by row",
    "drawn_mask": "they have no mask to draw",
    "zigzag": "they have no inversion, a drawn token stays",
    "negative_prompt": "their unconditional input is learned",
    "momentum": "they have no mask ratio to solve for",
}
AUTOREGRESSIVE_ONLY = {"jacobi": "they predict all positions in every pass as it is"}
DIFFUSION_CHOICES = ("preset", "steps", "guidance_scale", "negative_prompt")
# parameters of choices that both families of tokens know
MASKED_PARAMETERS = {
    "pool": "they have no masked tokens",
    "last": "each of their positions is drawn once",
    "compare": "they predict each position once",
}


def check_combination(recipe: "Recipe") -> None:
    """Check that a recipe's choices go together.

    Raises:
        InputError: two do not, or one has no effect beside the others.
    """
    _check_zigzag(recipe)
    _check_differential(recipe)
    _check_guidance(recipe)
    _check_temperature(recipe)
    _check_order(recipe)
    check_few_steps(recipe)
    foreign = [name for name in recipe.changed if name in MASKED_ONLY]
    if recipe.jacobi and foreign:
        raise InputError(
            f"recipe jacobi cannot combine with {foreign[0]}: one is for autoregressive models, "
            "the other for masked ones"
        )


def check_family(recipe: "Recipe", family: str) -> None:
    """Check that every choice of a recipe means something to a family of models.

    Raises:
        InputError: a choice does not apply to it or has no effect, or it needs one that is not
            there.
    """
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    if family != "autoregressive" and recipe.steps is None:
        raise InputError(f"recipe steps is missing: {family} models need it, as steps=16")
    reason = misfit(recipe, family)
    if reason is not None:
        raise InputError(reason)
    check_noise(recipe)


def check_length(recipe: "Recipe", tokens: int) -> None:
    """Check that a recipe's positions are those of an autoregressive model of so many tokens.

    Raises:
        InputError: a choice reaches beyond them, where it has no effect.
    """
    start, stop = recipe.guidance_interval or (0, 0)
    if stop > tokens:
        raise InputError(
            f"recipe guidance_interval={start}..{stop} must end at {tokens} or before: "
            f"the model draws {tokens} tokens"
        )
    if recipe.argmax_from is not None and recipe.argmax_from >= tokens:
        raise InputError(
            f"recipe argmax_from={recipe.argmax_from} must be below {tokens}: "
            f"the model draws {tokens} tokens, counted from 0"
        )
    check_redrawn(recipe, tokens - 1)  # the first is compared with nothing


def check_redrawn(recipe: "Recipe", tokens: int) -> None:
    """Check that the percentage of differential sampling is a token at least, of so many.

    Raises:
        InputError: it is less, so that none is ever redrawn.
    """
    if recipe.differential and int(tokens * recipe.differential.percent / 100) == 0:
        percent = number(recipe.differential.percent)
        raise InputError(
            f"recipe differential={percent} has no effect: {percent} percent of the {tokens} "
            "tokens that can be redrawn is less than one of them"
        )


def check_drawn_mask(recipe: "Recipe", drawable: bool) -> None:
    """Check that `drawn_mask` is said only of models that predict the mask among the codes.

    Raises:
        InputError: it is said of another.
    """
    if recipe.drawn_mask != "keep" and not drawable:
        raise InputError(
            f"recipe drawn_mask={recipe.drawn_mask} has no effect: the model predicts codes alone, "
            "never the mask"
        )


def misfit(recipe: "Recipe", family: str) -> str | None:
    """Return why a choice of a recipe means nothing to a family; None if all mean something."""
    for name in recipe.changed:
        if reason := why_not(name, family):
            choice = f"{name}={recipe.text_of(name)}"
            return f"recipe {cut(choice)} does not apply to {family} models: {reason}"
    if family == "autoregressive" and recipe.differential:
        for name in recipe.differential.changed:
            if name in MASKED_PARAMETERS:
                choice = f"differential {name}={word(getattr(recipe.differential, name))}"
                reason = MASKED_PARAMETERS[name]
                return f"recipe {choice} does not apply to {family} models: {reason}"
    return None


def why_not(name: str, family: str) -> str | None:
    """Return why a choice, whatever its value, means nothing to a family; None if it does."""
    if family == "diffusion":
        known = name in DIFFUSION_CHOICES
        return None if known else "diffusers runs their loops and is told steps and guidance alone"
    return (AUTOREGRESSIVE_ONLY if family == "masked" else MASKED_ONLY).get(name)


def _check_zigzag(recipe: "Recipe") -> None:
    zigzag, steps = recipe.zigzag, recipe.steps
    if zigzag is None or steps is None:
        return
    if steps < 2:
        raise InputError("recipe zigzag needs at least 2 steps: the last has no way back")
    stop = steps - 1 if zigzag.stop is None else zigzag.stop
    if stop >= steps or zigzag.start >= stop:
        name = "start" if zigzag.stop is None else "stop"
        raise InputError(
            f"recipe zigzag {name}={getattr(zigzag, name)} does not fit steps={steps}: "
            "the last step has no way back"
        )


def _check_differential(recipe: "Recipe") -> None:
    differential, zigzag = recipe.differential, recipe.zigzag
    if differential is None:
        return
    if recipe.jacobi:
        raise InputError(
            "recipe differential cannot combine with jacobi: it needs the predictions of all "
            "positions before, and jacobi draws several at once"
        )
    if zigzag is None and differential.compare == "steps":
        raise InputError(
            "recipe differential compare=steps has no effect without zigzag: each step has one call"
        )
    if zigzag and zigzag.rule == "recover" and differential.compare == "calls":
        raise InputError(
            "recipe differential cannot combine with zigzag rule=recover: the second draw has "
            "the same prediction as the first, so there is no change to draw from; "
            "compare=steps has"
        )


def _check_guidance(recipe: "Recipe") -> None:
    if recipe.negative_prompt and not recipe.uses_unconditional:
        raise InputError(
            "recipe negative_prompt has no effect without guidance: "
            "set guidance_scale above 1 or leave it out"
        )
    if recipe.guidance_schedule != "constant" and recipe.guidance_scale == 1:
        raise InputError(
            f"recipe guidance_schedule={recipe.guidance_schedule} has no effect without guidance: "
            "set guidance_scale above 1"
        )
    if recipe.guidance_interval is None:
        return
    start, stop = recipe.guidance_interval
    spelled = f"recipe guidance_interval={start}..{stop}"
    if recipe.guidance_scale == 1:
        raise InputError(f"{spelled} has no effect without guidance: set guidance_scale above 1")
    if start >= stop:
        raise InputError(f"{spelled} is empty: it must begin before it ends")
    if recipe.steps is not None and stop > recipe.steps:
        raise InputError(f"{spelled} must end at steps={recipe.steps} or before")


def _check_order(recipe: "Recipe") -> None:
    order, zigzag = recipe.order, recipe.zigzag
    if recipe.momentum and order.known == "redraw":
        raise InputError(
            "recipe order known=redraw cannot combine with momentum: the solver keeps its share of "
            "the known tokens"
        )
    if "masking_temperature" not in recipe.changed:
        return
    if recipe.momentum:
        raise InputError(
            "recipe masking_temperature has no effect with momentum: the solver ranks tokens "
            "without masking noise"
        )
    if order.rule != "confidence" and not (zigzag and zigzag.rule == "low_token_prob"):
        raise InputError(
            f"recipe masking_temperature has no effect with order={order.rule}: tokens stay "
            "whatever their confidence"
        )


def _check_temperature(recipe: "Recipe") -> None:
    if recipe.temperature_schedule and recipe.temperature == 0:
        raise InputError(
            "recipe temperature_schedule has no effect at temperature 0: every draw is argmax"
        )
    if recipe.argmax_from is None:
        return
    if recipe.temperature == 0:
        raise InputError("recipe argmax_from has no effect at temperature 0: every draw is argmax")
    if recipe.steps is not None and recipe.argmax_from >= recipe.steps:
        raise InputError(
            f"recipe argmax_from={recipe.argmax_from} must be below steps={recipe.steps}: "
            "steps count from 0"
        )
