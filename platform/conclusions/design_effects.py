"""What each design choice of a study brings and costs, by model; and what more pictures would tell.

A choice is a field of the recipe at a value that is not the baseline's: `steps=32` is one choice,
`steps=64` another. Where every combination of some choices was run, their effects, interactions and
Shapley shares are taken over all combinations; each choice run alone is compared with the baseline.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from bakeoff.evaluators.factorial import Choices, Effects, VarianceShares, effects, variance_shares
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.equal_terms import baseline_of
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.conclusions.outcomes import Scores, scores_of
from bakeoff.platform.queries.views import Views
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe

MOST_CHOICES = 6  # of a grid: 64 entries
SEEDS = 8  # a prompt, at most, that variances are taken from


@dataclass(frozen=True)
class ChoiceEffect:
    """What a choice brings in the metric's unit, and by what factor it changes the cost."""

    choice: str
    effect: Estimate
    row_evaluations: float | None
    seconds: float | None


@dataclass(frozen=True)
class DesignEffects:
    """The choices of a model's entries against one of them, which has made none.

    `alone` are those that an entry has made alone. `grid` is None unless all combinations of two or
    more choices were run: its `together` are their effects over all combinations, `effects` has
    interactions and shares, too.
    """

    model: str
    metric: str
    baseline: str
    alone: tuple[ChoiceEffect, ...]
    together: tuple[ChoiceEffect, ...]
    grid: Effects | None


@dataclass(frozen=True)
class PicturesToBuy:
    """Where a picture's variance comes from, and what doubling prompts or seeds would bring.

    The last two are shares of the width of a difference's interval that remain.
    """

    shares: VarianceShares
    prompts: int
    seeds: int
    width_of_twice_the_prompts: float
    width_of_twice_the_seeds: float

    @property
    def sentence(self) -> str:
        """Say which to buy."""
        prompts, seeds = (
            f"{1 - width:.0%}"
            for width in (self.width_of_twice_the_prompts, self.width_of_twice_the_seeds)
        )
        buy = "prompts" if self.shares.recipe_by_prompt else "either"
        return (
            f"Twice the prompts narrow the interval of a difference by {prompts}, twice the seeds "
            f"by {seeds}, for the same number of pictures: buy {buy}."
        )


def design_effects(views: Views, board: Leaderboard, metric: str) -> list[DesignEffects]:
    """Return the effects of choices on a metric, for each model that has any."""
    scores = scores_of(views, board.study, metric)
    models: dict[tuple[str, str], list[Standing]] = {}
    for one in board.standings:
        if metric in one.scores:
            models.setdefault((one.model, one.weights_hash), []).append(one)
    found = (_effects_of(board, metric, members, scores) for members in models.values())
    return [one for one in found if one.alone or one.grid]


def _effects_of(
    board: Leaderboard,
    metric: str,
    members: Sequence[Standing],
    scores: Scores,
) -> DesignEffects:
    baseline = baseline_of(board, members)
    made = _choices(members, baseline)
    alone = [
        _effect(made, frozenset({choice}), scores, choice)
        for choice in dict.fromkeys(c for one in made if len(one) == 1 for c in one)
    ]
    whole = _grid(set(made))
    grid = _measured(made, whole, scores) if whole else None
    together = [_costed(made, whole, choice, grid.main[choice]) for choice in sorted(whole) if grid]
    return DesignEffects(
        model=members[0].model,
        metric=metric,
        baseline=baseline,
        alone=tuple(one for one in alone if one),
        together=tuple(together),
        grid=grid,
    )


def _choices(members: Sequence[Standing], baseline: str) -> dict[Choices, Standing]:
    """Return the entries by what they have chosen beyond the baseline; of like ones the first."""
    recipes = {one.entry: recipe for one in members if (recipe := _read(one.recipe))}
    if baseline not in recipes:
        return {}
    plain = recipes[baseline]
    made: dict[Choices, Standing] = {}
    for one in sorted(members, key=lambda one: one.entry != baseline):
        if one.entry in recipes:
            made.setdefault(frozenset(_changes(recipes[one.entry], plain)), one)
    return made


def _changes(recipe: Recipe, plain: Recipe) -> Iterator[str]:
    """Yield what a recipe has chosen that another has not; a preset is a way of spelling."""
    for name in Recipe.model_fields:
        if name != "preset" and getattr(recipe, name) != getattr(plain, name):
            yield f"{name}={recipe.text_of(name)}"


def _read(recipe: str) -> Recipe | None:
    try:
        return Recipe.from_text(recipe)
    except InputError:
        return None


def _subsets(whole: Choices) -> list[Choices]:
    return [
        frozenset(s) for size in range(len(whole) + 1) for s in combinations(sorted(whole), size)
    ]


def _grid(made: set[Choices]) -> Choices:
    """Return the most choices of which every combination was made; empty if there are not two."""
    able = [one for one in made if 2 <= len(one) <= MOST_CHOICES and made.issuperset(_subsets(one))]
    return max(able, key=lambda one: (len(one), sorted(one)), default=frozenset())


def _measured(made: Mapping[Choices, Standing], whole: Choices, scores: Scores) -> Effects | None:
    """Return the effects of choices on prompts and seeds that all their entries have, if any."""
    entries = _subsets(whole)
    values, is_binary = scores.common([made[one].entry for one in entries])
    return effects(entries, values, binary=is_binary) if len(values) else None


def _effect(
    made: Mapping[Choices, Standing], whole: Choices, scores: Scores, choice: str
) -> ChoiceEffect | None:
    found = _measured(made, whole, scores)
    return _costed(made, whole, choice, found.main[choice]) if found else None


def _costed(
    made: Mapping[Choices, Standing], whole: Choices, choice: str, effect: Estimate
) -> ChoiceEffect:
    """Return an effect with its costs: mean factors over entries with and without the choice."""
    pairs = [(made[one | {choice}], made[one]) for one in _subsets(whole - {choice})]
    return ChoiceEffect(
        choice,
        effect,
        row_evaluations=_factor(pairs, lambda one: one.row_evaluations),
        seconds=_factor(pairs, lambda one: one.seconds_per_image) if _is_timed(pairs) else None,
    )


def _is_timed(pairs: Sequence[tuple[Standing, Standing]]) -> bool:
    """Tell whether times compare: those of typical batches of one size on one device."""
    timed = {(one.device, one.batch_size, one.is_typical) for pair in pairs for one in pair}
    return len(timed) == 1 and all(is_typical for *_, is_typical in timed)


def _factor(
    pairs: Sequence[tuple[Standing, Standing]], cost: Callable[[Standing], float | None]
) -> float | None:
    spent = [(cost(ours), cost(theirs)) for ours, theirs in pairs]
    ratios = [ours / theirs for ours, theirs in spent if ours and theirs]
    return float(np.exp(np.log(ratios).mean())) if ratios and len(ratios) == len(spent) else None


def pictures_to_buy(views: Views, board: Leaderboard, metric: str) -> PicturesToBuy | None:
    """Return whether a study would learn more from prompts or from seeds.

    Controls are left out: their noise is not what the others share. None with fewer than two
    entries, prompts or seeds of a prompt.
    """
    counts = [one.samples // one.prompts for one in board.standings if one.prompts]
    seeds = min([SEEDS, *counts])
    if seeds < 2:
        return None
    asked: dict[str, Any] = {"study": board.study, "metric": metric, "seeds": seeds}
    by_entry: dict[str, dict[str, list[float]]] = {}
    for row in views.query("seed_values", **asked):
        by_entry.setdefault(row["entry"], {})[row["prompt_id"]] = row["values"]
    controls = {one.entry for one in board.standings if one.is_control}
    columns = [own for entry, own in by_entry.items() if entry not in controls]
    if len(columns) < 2:
        return None
    shared = sorted(set(columns[0]).intersection(*columns[1:]))
    if len(shared) < 2:
        return None
    shares = variance_shares([[one[prompt] for one in columns] for prompt in shared])
    prompts = len(shared)
    now = shares.of_difference(prompts, seeds)
    if now == 0:
        return None
    return PicturesToBuy(
        shares,
        prompts,
        seeds,
        float(np.sqrt(shares.of_difference(2 * prompts, seeds) / now)),
        float(np.sqrt(shares.of_difference(prompts, 2 * seeds) / now)),
    )
