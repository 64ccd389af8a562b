"""Do intervals hold what they say? `python -m tests.benchmarks.statistics [--studies N]`.

Studies are made up with prompts of different difficulty, recipes that suit some prompts better,
and seeds. Each has a gain of its own of the entry over the baseline: the coverage of counts swings
with it. The truth is known, and each line tells how often a figure's interval holds it. Intervals
are to hold in 94 to 96.5 % of studies, errors of a family and of early stopping in at most 5 %.
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bakeoff.evaluators.calibration import calibrated_win_rate
from bakeoff.evaluators.comparison import difference, holm, pairs
from bakeoff.evaluators.factorial import effects, variance_shares
from bakeoff.evaluators.ranking import Game, bradley_terry
from bakeoff.evaluators.statistics import (
    Estimate,
    Interval,
    adjusted_test,
    mean_estimate,
    win_rate,
    win_values,
)
from bakeoff.evaluators.stopping import course, courses

Array = NDArray[np.float64]
USELESS = 23
UNIT = Interval(0.0, 1.0)
SHAPES = ((24, 1), (72, 1), (240, 1), (72, 4), (240, 4))  # prompts, seeds
PROMPT, RECIPE, NOISE, SEED = (
    1.0,
    0.4,
    0.6,
    0.7,
)  # standard deviations of what a picture's value comes from
MOST_GAIN = 0.6  # of the entry over the baseline; each study has one of its own between 0 and this
SPREAD = np.hypot(np.hypot(PROMPT, RECIPE), SEED)  # of one entry's qualities
PARTED = np.sqrt(2) * np.hypot(RECIPE, SEED)  # of the difference of two entries' on a prompt


class Truth(NamedTuple):
    """What the figures of a world are for endless prompts."""

    mean: float
    wins: float
    difference: float


class World(NamedTuple):
    """A kind of metric: values from latent qualities, their mean at a gain, and what decides."""

    name: str
    observe: Callable[[Array], Array]
    mean: Callable[[float], float]
    binary: bool = False

    def truth(self, gain: float) -> Truth:
        """Return what a study of this gain is to find."""
        ours, theirs = self.mean(gain), self.mean(0.0)
        # Two yes or no tie or differ by one: wins less losses are the difference of their means.
        wins = (1 + ours - theirs) / 2 if self.binary else float(norm.cdf(gain / PARTED))
        return Truth(ours, wins, ours - theirs)


WORLDS = (
    World(
        "yes or no",
        lambda quality: (quality > 0).astype(float),
        lambda gain: float(norm.cdf(gain / SPREAD)),
        binary=True,
    ),
    World("continuous", lambda quality: quality, lambda gain: gain),
    World(
        "skewed",
        lambda quality: np.exp(quality / 2),
        lambda gain: float(np.exp(gain / 2 + SPREAD**2 / 8)),
    ),
)


def latent(numbers: np.random.Generator, prompts: int, seeds: int, gain: float) -> Array:
    """Return qualities [P, S, 2] of the entry and the baseline."""
    shared = numbers.normal(0, PROMPT, (prompts, 1, 1))
    own = numbers.normal(0, RECIPE, (prompts, 1, 2))
    drawn = numbers.normal(0, SEED, (prompts, seeds, 2))
    return shared + own + drawn + np.array([gain, 0.0])


def coverage(studies: int) -> Iterator[str]:
    """Yield how often 95 % intervals of mean, win rate and difference hold the truth."""
    yield "| metric | prompts × seeds | mean | win rate | difference |"
    yield "| --- | --- | --- | --- | --- |"
    for world in WORLDS:
        for prompts, seeds in SHAPES:
            numbers = np.random.default_rng([prompts, seeds])
            names = np.repeat(np.arange(prompts).astype(str), seeds).tolist()
            held = np.zeros(3)
            for gain in numbers.uniform(0, MOST_GAIN, studies):
                values = world.observe(latent(numbers, prompts, seeds, gain)).reshape(-1, 2)
                ours, theirs = values[:, 0], values[:, 1]
                found = (
                    mean_estimate(names, ours),
                    win_rate(names, ours, theirs).estimate,
                    difference(pairs(names, ours, theirs), binary=world.binary),
                )
                true = world.truth(gain)
                held += [_holds(one, value) for one, value in zip(found, true, strict=True)]
            shares = " | ".join(f"{share:.1%}" for share in held / studies)
            yield f"| {world.name} | {prompts} × {seeds} | {shares} |"


def _holds(estimate: Estimate | None, value: float) -> bool:
    return estimate is not None and estimate.contains(value)


def false_alarms(studies: int) -> Iterator[str]:
    """Yield how often any of many useless recipes is called better or worse."""
    yield f"| {USELESS} useless recipes, 240 prompts | uncorrected | Holm |"
    yield "| --- | --- | --- |"
    for world in WORLDS[:2]:
        numbers, single, corrected = np.random.default_rng(2), 0, 0
        for _ in range(studies):
            quality = numbers.normal(0, PROMPT, (240, 1)) + numbers.normal(
                0, SEED, (240, USELESS + 1)
            )
            values = world.observe(quality)
            p_values = np.array(
                [
                    adjusted_test(win_values(values[:, one], values[:, -1]), UNIT, 0.5)
                    for one in range(USELESS)
                ]
            )
            single += (p_values <= 0.05).any()
            corrected += (holm(p_values) <= 0.05).any()
        yield f"| {world.name} | {single / studies:.1%} | {corrected / studies:.1%} |"


def early_stopping(studies: int) -> Iterator[str]:
    """Yield how often, and when, a comparison is decided that is looked at after every prompt."""
    yield "| true win rate, ties | decided within 1,000 prompts | wrongly | half of them by |"
    yield "| --- | --- | --- | --- |"
    for rate, ties in ((0.5, 0.0), (0.5, 0.5), (0.5, 0.9), (0.55, 0.3), (0.6, 0.3), (0.7, 0.3)):
        numbers = np.random.default_rng(3)
        wins = rate - ties / 2
        draws = numbers.choice([0, 0.5, 1], (studies, 1000), p=[1 - ties - wins, ties, wins])
        decided = [one for one in map(course, draws) if one.verdict != "undecided"]
        wrong = sum(rate == 0.5 or one.verdict == "worse" for one in decided)
        when = f"{np.median([one.prompts for one in decided]):.0f}" if decided else "–"
        yield (
            f"| {rate:.0%}, {ties:.0%} | {len(decided) / studies:.1%} | {wrong / studies:.1%} "
            f"| {when} |"
        )


def early_stopping_of_many(studies: int) -> Iterator[str]:
    """Yield how often any of many comparisons is decided wrongly that are looked at all the time.

    A win rate on the very edge of the margin is not equivalent: to call it so is an error, too.
    """
    yield f"| {USELESS} comparisons, 2 seeds, 300 prompts | wrong in any |"
    yield "| --- | --- |"
    for name, rate, margin in (("all useless", 0.5, None), ("all at a margin of 0.1", 0.6, 0.1)):
        numbers, wrong = np.random.default_rng(6), 0
        for _ in range(studies):
            chances = numbers.beta(4 * rate, 4 * (1 - rate), (USELESS, 300))  # prompts differ
            values = numbers.binomial(2, chances) / 2
            found = courses(list(values), equivalent=margin)
            errors = {"better", "worse"} if margin is None else {"worse", "equivalent"}
            wrong += any(one.verdict in errors for one in found)
        yield f"| {name} | {wrong / studies:.1%} |"


def variance(studies: int) -> Iterator[str]:
    """Yield what shares of variance are found on average, beside those planted."""
    numbers = np.random.default_rng(7)
    planted, found = (PROMPT**2, RECIPE**2, NOISE**2, SEED**2), []
    for _ in range(studies):
        values = numbers.normal(0, PROMPT, (72, 1, 1)) + numbers.normal(0, RECIPE, (72, 4, 1))
        values = values + numbers.normal(0, NOISE, (72, 1, 4))
        found.append(variance_shares(values + numbers.normal(0, SEED, (72, 4, 4))))
    yield "| variance, 72 prompts × 4 recipes × 4 seeds | planted | mean found |"
    yield "| --- | --- | --- |"
    names = ("prompt", "recipe × prompt", "seed, for all recipes", "seed, for one")
    for name, value, mean in zip(names, planted, np.mean(found, axis=0), strict=True):
        yield f"| {name} | {value:.3f} | {mean:.3f} |"


def planted_effects(studies: int) -> Iterator[str]:
    """Yield how often intervals of design choices' effects hold what was planted."""
    entries = [frozenset(one) for size in range(5) for one in combinations("abcd", size)]
    planted = np.array(
        [0.3 * ("a" in e) - 0.2 * ("b" in e) + 0.4 * ({"a", "c"} <= e) for e in entries]
    )
    wanted = {
        "main a": 0.5,
        "main b": -0.2,
        "main d": 0.0,
        "a × c": 0.4,
        "share of a": 0.5,
        "share of c": 0.2,
    }
    numbers, held = np.random.default_rng(4), np.zeros(len(wanted))
    means = np.zeros(len(wanted))
    for _ in range(studies):
        shared = numbers.normal(0, PROMPT, (72, 1))
        values = shared + numbers.normal(0, RECIPE + SEED, (72, len(entries))) + planted
        found = effects(entries, values)
        assert found.shapley is not None
        estimates = [
            *(found.main[name] for name in "abd"),
            found.interactions["a", "c"],
            *(found.shapley[name] for name in "ac"),
        ]
        held += [one.contains(value) for one, value in zip(estimates, wanted.values(), strict=True)]
        means += [one.value for one in estimates]
    yield "| effect, 4 choices, 16 entries, 72 prompts | planted | mean found | held |"
    yield "| --- | --- | --- | --- |"
    for name, value, mean, share in zip(wanted, wanted.values(), means, held, strict=True):
        yield f"| {name} | {value:+.2f} | {mean / studies:+.3f} | {share / studies:.1%} |"


def people(studies: int) -> Iterator[str]:
    """Yield how often intervals from votes hold, and what a metric adds to them."""
    yield "| from votes | held | |"
    yield "| --- | --- | --- |"
    strengths = {"a": 1.0, "b": 0.3, "c": -0.3, "d": -1.0}
    numbers, held, exact = np.random.default_rng(5), [], []
    for _ in range(studies):
        found = bradley_terry(list(_votes(numbers, strengths)))
        held += [one.interval.low <= strengths[one.name] <= one.interval.high for one in found]
        order = {name: rank for rank, name in enumerate(strengths, 1)}
        exact.append(all(one.ranks[0] <= order[one.name] <= one.ranks[1] for one in found))
    yield f"| Bradley-Terry strengths, 4 entries, 120 votes | {np.mean(held):.1%} | |"
    yield f"| all ranks of a study at once | {np.mean(exact):.1%} | |"
    for name, noise in (("good", 0.05), ("useless", 5.0)):
        inside, gains = [], []
        for _ in range(studies):
            taste = numbers.beta(2, 1.5, 1000)
            votes = (numbers.random(1000) < taste).astype(float)
            opinion = np.round(2 * np.clip(taste + numbers.normal(0, noise, 1000), 0, 1)) / 2
            one = calibrated_win_rate(votes[:200], opinion[:200], opinion[200:])
            assert one is not None
            inside.append(one.estimate.contains(2 / 3.5))
            gains.append(one.gain)
        yield (
            f"| win rate of 200 votes and a {name} metric on 1,000 prompts | {np.mean(inside):.1%} "
            f"| {np.mean(gains):.0%} less variance |"
        )


def _votes(numbers: np.random.Generator, strengths: dict[str, float]) -> Iterator[Game]:
    for prompt in range(120):
        first, second = numbers.choice(list(strengths), 2, replace=False)
        chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
        yield Game(str(first), str(second), float(numbers.random() < chance), str(prompt))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=4000)
    given = parser.parse_args()
    tables = (
        coverage,
        false_alarms,
        early_stopping,
        early_stopping_of_many,
        planted_effects,
        variance,
        people,
    )
    for table in tables:
        for line in table(given.studies):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
