"""The product of lists of choices: every combination as a recipe with a name."""

import re
from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from bakeoff.samplers.errors import InputError, cut, shown

if TYPE_CHECKING:
    from bakeoff.samplers.recipe import Recipe

R = TypeVar("R", bound="Recipe")

MOST = 1024  # recipes of one grid
LONGEST_NAME = 64  # characters, as in a study
LONGEST_HEAD = LONGEST_NAME - 17  # where a recipe_id follows
NAMED_SO = re.compile(r"[^A-Za-z0-9._-]+")


def expand(make: Callable[..., R], choices: Mapping[str, Any]) -> dict[str, R]:
    """Return the recipe of every combination by its name, the last list running fastest.

    A list holds the values that its choice takes in turn; a pair is written "2..0" or as an inner
    list. Names tell the choices that differ, as `steps-8.noise-abs_cos-1`. A combination that means
    the same as an earlier one is left out.

    Raises:
        InputError: a list is empty, there are too many combinations, or one of them is refused.
    """
    axes = {key: value if isinstance(value, list) else [value] for key, value in choices.items()}
    for key, values in axes.items():
        if not values:
            raise InputError(f"grid {cut(key)} is empty: give at least one value")
    if (size := prod(map(len, axes.values()))) > MOST:
        raise InputError(f"grid holds {size} recipes: at most {MOST} are allowed")
    differing = [key for key, values in axes.items() if len(values) > 1]
    recipes: dict[str, R] = {}
    ids: set[str] = set()
    for chosen in product(*axes.values()):
        combination = dict(zip(axes, chosen, strict=True))
        try:
            recipe = make(**combination)
        except InputError as error:
            raise InputError(f"grid {_spelled(combination, differing)}: {error}") from None
        if recipe.recipe_id not in ids:
            ids.add(recipe.recipe_id)
            name = _name(recipe, combination, differing)
            fits = len(name) <= LONGEST_NAME and name not in recipes
            recipes[name if fits else f"{name[:LONGEST_HEAD]}-{recipe.recipe_id}"] = recipe
    return recipes


def _spelled(combination: Mapping[str, Any], differing: list[str]) -> str:
    return cut(" ".join(f"{key}={cut(combination[key])}" for key in differing or combination))


def _name(recipe: "Recipe", combination: Mapping[str, Any], differing: list[str]) -> str:
    parts = []
    for key in differing:
        value = recipe.text_of(key) if key in type(recipe).model_fields else shown(combination[key])
        parts.append(f"{key}-{NAMED_SO.sub('-', value).strip('-')}")
    return ".".join(parts) or "only"
