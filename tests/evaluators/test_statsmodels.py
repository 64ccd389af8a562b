"""What statsmodels has, too, comes out the same."""

import numpy as np
import pytest

from bakeoff.evaluators.calibration import agreement
from bakeoff.evaluators.comparison import holm, sign_test
from bakeoff.evaluators.factorial import effects
from bakeoff.evaluators.ranking import GUARD, Game, bradley_terry

api = pytest.importorskip("statsmodels.api")
stats = pytest.importorskip("statsmodels.stats.api")


def test_holms_correction() -> None:
    p_values = np.random.default_rng(0).beta(0.3, 1, 23)
    expected = stats.multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected)


def test_the_sign_test() -> None:
    from statsmodels.stats.descriptivestats import sign_test as expected

    differences = np.random.default_rng(1).integers(-2, 4, 40)
    assert sign_test(differences) == pytest.approx(expected(differences)[1])


def test_cohens_kappa() -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    numbers = np.random.default_rng(2)
    votes = numbers.integers(0, 2, 80)
    opinions = np.where(numbers.random(80) < 0.7, votes, 1 - votes)
    table = [[int(((votes == a) & (opinions == b)).sum()) for b in (0, 1)] for a in (0, 1)]
    found = agreement([str(n) for n in range(80)], votes, opinions)
    assert found and found.kappa == pytest.approx(cohens_kappa(table).kappa)


def test_bradley_terry_is_a_logistic_regression_on_who_met() -> None:
    numbers, names = np.random.default_rng(3), "abcd"
    games = []
    for prompt in range(200):
        first, second = numbers.choice(list(names), 2, replace=False)
        games.append(Game(str(first), str(second), float(numbers.random() < 0.6), str(prompt)))
    # the games that the guard adds: half a win for either of each two who met
    guards = [(a, b, won) for a in names for b in names if a < b for won in (1.0, 0.0)]
    played = [(g.first, g.second, g.result, 1.0) for g in games]
    played += [(a, b, won, GUARD) for a, b, won in guards]
    design = [[float(n == a) - float(n == b) for n in names[1:]] for a, b, *_ in played]
    fit = api.GLM(
        [won for *_, won, _ in played],
        np.array(design),
        family=api.families.Binomial(),
        freq_weights=np.array([weight for *_, weight in played]),
    ).fit()
    expected = np.concatenate([[0.0], fit.params])
    found = {one.name: one.value for one in bradley_terry(games)}
    assert [found[name] for name in names] == pytest.approx(list(expected - expected.mean()))


def test_effects_are_those_of_a_regression_on_signs() -> None:
    entries = [frozenset(e) for e in ("", "a", "b", "ab", "c", "ac", "bc", "abc")]
    means = np.random.default_rng(4).normal(size=(30, 8))
    signs = np.array([[1.0 if n in e else -1.0 for n in "abc"] for e in entries])
    pairs = [(0, 1), (0, 2), (1, 2)]
    design = np.column_stack([np.ones(8), signs, *(signs[:, a] * signs[:, b] for a, b in pairs)])
    fit = api.OLS(means.mean(axis=0), design).fit()
    found = effects(entries, means)
    assert [found.main[n].value for n in "abc"] == pytest.approx(list(2 * fit.params[1:4]))
    both = [found.interactions["abc"[a], "abc"[b]].value for a, b in pairs]
    assert both == pytest.approx(list(4 * fit.params[4:]))
