"""Strengths from who beat whom: Bradley-Terry, with intervals of strengths and of ranks.

For votes, where not everybody met everybody; complete designs are better served by paired means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse.csgraph import connected_components

from bakeoff.evaluators.comparison import holm
from bakeoff.evaluators.statistics import CONFIDENCE, Interval

# Drawn games that each two who met are given besides: one that wins all has a finite strength.
GUARD = 0.5
ROUNDS = 100


@dataclass(frozen=True)
class Strength:
    """A competitor's log-odds against the mean of its group, and the ranks it may hold in it.

    `group` numbers those who are joined by games; strengths of two groups cannot be compared.
    """

    name: str
    group: int
    games: float
    value: float
    interval: Interval
    ranks: tuple[int, int]  # best and worst; 1 is the strongest
    wins_all: bool
    loses_all: bool


@dataclass(frozen=True)
class Game:
    """A prompt on which `first` met `second`; its result is 1, ½ or 0 for the first."""

    first: str
    second: str
    result: float
    prompt: str


def bradley_terry(games: Sequence[Game], confidence: float = CONFIDENCE) -> list[Strength]:
    """Return the strengths of all who played, strongest first, group by group.

    Intervals come from the sandwich estimator with the prompt as the cluster. Two ranks are told
    apart if Holm's correction over all pairs of the group tells the strengths apart.

    Source: Bradley and Terry (1952); ties as half-wins; Hunter (2004) on when strengths exist;
    Liang and Zeger (1986) for clusters.
    """
    names = sorted({name for game in games for name in (game.first, game.second)})
    place = {name: number for number, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for game in games:
        wins[place[game.first], place[game.second]] += game.result
        wins[place[game.second], place[game.first]] += 1 - game.result
    _, labels = connected_components(wins + wins.T, directed=False)
    found: list[Strength] = []
    for label in dict.fromkeys(labels.tolist()):
        members = np.flatnonzero(labels == label)
        own = [names[member] for member in members]
        inside = [game for game in games if game.first in own]
        found += _group(own, wins[np.ix_(members, members)], inside, label, confidence)
    return found


def _group(
    names: list[str],
    wins: NDArray[np.float64],
    games: list[Game],
    label: int,
    confidence: float,
) -> list[Strength]:
    """Return the strengths of those who are joined by games."""
    value = _fit(wins)
    covariance = _covariance(names, wins, games, value)
    z = stats.norm.ppf((1 + confidence) / 2)
    half = z * np.sqrt(covariance.diagonal())
    ranks = _ranks(value, covariance, 1 - confidence)
    won, lost = wins.sum(axis=1), wins.sum(axis=0)
    return [
        Strength(
            name=names[one],
            group=label,
            games=float(won[one] + lost[one]),
            value=float(value[one]),
            interval=Interval(float(value[one] - half[one]), float(value[one] + half[one])),
            ranks=ranks[one],
            wins_all=bool(lost[one] == 0),
            loses_all=bool(won[one] == 0),
        )
        for one in np.argsort(-value, kind="stable")
    ]


def _guarded(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    return wins + GUARD * ((wins + wins.T) > 0)


def _expected(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the odds of each against each, as shares, [K, K]."""
    return 1 / (1 + np.exp(value[None, :] - value[:, None]))


def _fit(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the strengths of greatest likelihood, with mean 0, by Newton's method."""
    guarded = _guarded(wins)
    games = guarded + guarded.T
    value = np.zeros(len(wins))
    for _ in range(ROUNDS):
        chances = _expected(value)
        slope = (guarded - games * chances).sum(axis=1)
        step = np.linalg.pinv(_information(games, chances)) @ slope
        value += step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-10:
            break
    return value - value.mean()


def _information(games: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = games * chances * (1 - chances)
    return np.diag(weights.sum(axis=1)) - weights


def _covariance(
    names: list[str],
    wins: NDArray[np.float64],
    games: list[Game],
    value: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the covariance of strengths [K, K], games of a prompt being one cluster."""
    guarded = _guarded(wins)
    chances = _expected(value)
    bread = np.linalg.pinv(_information(guarded + guarded.T, chances))
    place = {name: number for number, name in enumerate(names)}
    prompts = {prompt: row for row, prompt in enumerate(sorted({g.prompt for g in games}))}
    scores = np.zeros((len(prompts), len(names)))
    for game in games:
        first, second = place[game.first], place[game.second]
        surplus = game.result - chances[first, second]
        scores[prompts[game.prompt], first] += surplus
        scores[prompts[game.prompt], second] -= surplus
    clusters = len(prompts)
    factor = clusters / (clusters - 1) if clusters > 1 else 1.0
    robust = factor * bread @ (scores.T @ scores) @ bread
    # never less than independent games would have: few clusters underrate themselves
    return np.where(robust.diagonal().sum() > bread.diagonal().sum(), robust, bread)


def _ranks(
    value: NDArray[np.float64], covariance: NDArray[np.float64], level: float
) -> list[tuple[int, int]]:
    """Return the best and worst rank of each that no other's strength excludes."""
    count = len(value)
    both = list(combinations(range(count), 2))
    errors = [np.sqrt(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]) for a, b in both]
    p_values = holm(
        [
            2 * stats.norm.sf(abs(value[a] - value[b]) / error) if error > 0 else 1.0
            for (a, b), error in zip(both, errors, strict=True)
        ]
    )
    above, below = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
    for (a, b), p_value in zip(both, p_values, strict=True):
        if p_value <= level:
            strong, weak = (a, b) if value[a] > value[b] else (b, a)
            above[weak] += 1
            below[strong] += 1
    return [(int(1 + above[one]), int(count - below[one])) for one in range(count)]
