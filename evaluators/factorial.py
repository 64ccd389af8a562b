"""What each design choice brings, when a study combines them: effects, interactions, shares.

Every figure is a fixed sum of the entries' values on a prompt (a contrast), so that its interval is
those of means over prompts, whatever the entries of a prompt have in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bakeoff.evaluators.statistics import (
    CONFIDENCE,
    ROUNDING,
    Estimate,
    Interval,
    adjusted_interval,
    mean_interval,
)

Choices = frozenset[str]  # the design choices that an entry has made; none is vanilla


@dataclass(frozen=True)
class Effects:
    """Effects in units of the metric; an interaction is what two bring beyond the sum of both.

    `shapley` shares out the gain of all choices together; None unless every subset was run.
    """

    main: Mapping[str, Estimate]
    interactions: Mapping[tuple[str, str], Estimate]
    shapley: Mapping[str, Estimate] | None


class VarianceShares(NamedTuple):
    """Variances of a single picture's value.

    `shared_seed` is what a seed does to all recipes alike, as they start from the same noise: it
    cancels where they are compared in pairs. `seed` is what it does to one alone.
    """

    prompt: float
    recipe_by_prompt: float
    shared_seed: float
    seed: float

    def of_difference(self, prompts: int, seeds: int) -> float:
        """Return the variance of two recipes' paired mean difference in such a study."""
        return 2 * (self.recipe_by_prompt + self.seed / seeds) / prompts

    def best_seeds(self, prompt_cost: float = 0.0) -> int:
        """Return the seeds a prompt that decide most for the same number of pictures.

        `prompt_cost` is what a new prompt costs beside its pictures, in pictures. Without one it
        is 1: further seeds share the prompt's quirk, further prompts do not.

        Source: Cochran (1977), two-stage sampling, section 10.6.
        """
        if prompt_cost <= 0:
            return 1
        if self.recipe_by_prompt <= 0:
            return np.iinfo(np.int32).max
        return max(1, round(np.sqrt(prompt_cost * self.seed / self.recipe_by_prompt)))


def effects(
    entries: Sequence[Choices],
    values: ArrayLike,
    *,
    binary: bool = False,
    confidence: float = CONFIDENCE,
) -> Effects:
    """Return the effects of choices from values [P, E] of entries on prompts.

    `binary` tells that they are means of yes and no: intervals then also hold where nearly all
    prompts tie.

    A main effect is the mean difference between entries with and without a choice, the others
    being alike; main effects and interactions of two are fitted together by least squares, which in
    a full design is the mean over all others.

    Source: Box, Hunter and Hunter (2005) chapter 5; Shapley (1953), with the gain over vanilla as
    the game.

    Raises:
        ValueError: two entries are alike, or the entries cannot tell two effects apart.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != len(entries):
        raise ValueError(f"values of shape {array.shape} do not match {len(entries)} entries")
    if len(set(entries)) < len(entries):
        raise ValueError("entries must differ in their choices, and two are alike")
    names = sorted(frozenset().union(*entries))
    pairs = [pair for pair in combinations(names, 2) if _told_apart(entries, names, pair)]
    rows = _contrasts(entries, names, pairs)
    found = [_estimate(array, row, binary, confidence) for row in rows]
    main = dict(zip(names, found, strict=False))
    interactions = dict(zip(pairs, found[len(names) :], strict=True))
    shares = None
    if len(entries) == 2 ** len(names):
        gains = [_shapley(entries, name, len(names)) for name in names]
        shares = {
            name: _estimate(array, row, binary, confidence)
            for name, row in zip(names, gains, strict=True)
        }
    return Effects(main, interactions, shares)


def _told_apart(entries: Sequence[Choices], names: Sequence[str], pair: tuple[str, str]) -> bool:
    """Whether all four combinations of two choices were run."""
    return len({(pair[0] in entry, pair[1] in entry) for entry in entries}) == 4


def _contrasts(
    entries: Sequence[Choices], names: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> NDArray[np.float64]:
    """Return the weights of the entries in each effect, [main and interactions, E]."""
    signs = np.array([[1.0 if name in entry else -1.0 for name in names] for entry in entries])
    place = {name: number for number, name in enumerate(names)}
    products = [signs[:, place[a]] * signs[:, place[b]] for a, b in pairs]
    design = np.column_stack([np.ones(len(entries)), signs, *products])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(
            f"{len(entries)} entries cannot tell {len(names)} choices and their pairs apart: run "
            "a grid of them"
        )
    # Signs are ±1: from off to on is twice a coefficient, and four times for a pair's difference.
    scale = np.array([2.0] * len(names) + [4.0] * len(pairs))
    weights: NDArray[np.float64] = np.linalg.pinv(design)[1:] * scale[:, None]
    return weights


def _shapley(entries: Sequence[Choices], name: str, choices: int) -> NDArray[np.float64]:
    """Return the weights of the entries in a choice's mean gain over all orders of adding, [E]."""
    place = {entry: number for number, entry in enumerate(entries)}
    weights = np.zeros(len(entries))
    for entry in entries:
        if name not in entry:
            weight = 1 / (choices * comb(choices - 1, len(entry)))
            weights[place[entry | {name}]] += weight
            weights[place[entry]] -= weight
    return weights


def _estimate(
    values: NDArray[np.float64], weights: NDArray[np.float64], binary: bool, confidence: float
) -> Estimate:
    """Return the mean of a weighted sum of entries over prompts, from values [P, E]."""
    by_prompt = values @ weights
    by_prompt[np.abs(by_prompt) <= ROUNDING * (np.abs(values) @ np.abs(weights))] = 0
    if binary:
        limits = Interval(weights[weights < 0].sum(), weights[weights > 0].sum())
        interval: Interval | None = adjusted_interval(by_prompt, limits, confidence)
    else:
        interval = mean_interval(by_prompt, confidence)
    return Estimate(float(by_prompt.mean()), interval, len(by_prompt), len(by_prompt))


def variance_shares(values: ArrayLike) -> VarianceShares:
    """Return where the variance of values [P, R, S] of prompts, recipes and seeds comes from.

    The noise of a prompt's seed is the same for all recipes: seeds are nested in prompts and cross
    recipes. By mean squares; a share that comes out negative is nothing.

    Source: Searle, Casella and McCulloch (1992) chapter 4.

    Raises:
        ValueError: fewer than two prompts, recipes or seeds.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or min(array.shape) < 2:
        raise ValueError(
            f"values must be of 2 or more prompts, recipes and seeds, got shape {array.shape}"
        )
    prompts, recipes, seeds = array.shape
    cell, noise = array.mean(axis=2), array.mean(axis=1)  # [P, R], [P, S]
    by_prompt = cell.mean(axis=1)
    both = cell - by_prompt[:, None] - cell.mean(axis=0) + array.mean()
    rest = array - cell[:, :, None] - noise[:, None, :] + by_prompt[:, None, None]
    of_prompts = recipes * seeds * by_prompt.var(ddof=1)
    of_both = seeds * (both**2).sum() / ((prompts - 1) * (recipes - 1))
    of_noise = recipes * noise.var(axis=1, ddof=1).mean()
    of_rest = (rest**2).sum() / (prompts * (recipes - 1) * (seeds - 1))
    return VarianceShares(
        prompt=max(0.0, float((of_prompts - of_both - of_noise + of_rest) / (recipes * seeds))),
        recipe_by_prompt=max(0.0, float((of_both - of_rest) / seeds)),
        shared_seed=max(0.0, float((of_noise - of_rest) / recipes)),
        seed=float(of_rest),
    )
