import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bakeoff.samplers.choices import Momentum, Schedule
from bakeoff.samplers.momentum import (
    Solver,
    earlier_share,
    extrapolate,
    extrapolation,
    highest,
    kept_share,
    solver_ratios,
)

COSINE = Schedule(name="cosine")


@pytest.mark.golden_files("meissonic/momentum_derived")
def test_coefficients_are_as_derived(golden_file: Any) -> None:
    tensors, tested = golden_file.tensors, 0
    for key, sigma in golden_file.part("sigma").items():
        name, *p, steps = key.split(".", 1)[0], *key.split(".")[1:-1], key.split(".N")[1]
        power = float(".".join(p).removeprefix("p")) if p else None
        found = solver_ratios(Schedule(name=name, p=power), int(steps))
        torch.testing.assert_close(found, sigma, atol=1e-12, rtol=0)
        r, k = kept_share(found), extrapolation(found)
        torch.testing.assert_close(r, tensors[f"r.{key}"], atol=1e-12, rtol=0)
        torch.testing.assert_close(k, tensors[f"k.{key}"], atol=1e-12, rtol=0)
        # the exact weight of the slope, of which k is the leading order
        exact = torch.where(r > 0, 1 - r + torch.xlogy(r, r), 1.0) / (1 - r) ** 2 * 2 * k
        torch.testing.assert_close(exact, tensors[f"k_exact.{key}"], atol=1e-12, rtol=0)
        tested += 1
    assert tested


@pytest.mark.golden_files("meissonic/momentum_derived")
def test_extrapolated_distributions_are_as_derived(golden_file: Any) -> None:
    tensors = golden_file.tensors
    current, previous = tensors["in.p_cur"].log(), tensors["in.p_prev"].log()
    cases = golden_file.part("extrapolated")
    for key, expected in cases.items():
        found = extrapolate(current, previous, float(key.removeprefix("k")), "probabilities")
        torch.testing.assert_close(found.exp(), expected, atol=1e-12, rtol=0)
    assert cases


def integrate(z: float, f: Any, start: float, end: float, parts: int = 20_000) -> float:
    """Follow dz/dsigma = (z - f) / sigma by the midpoint rule."""
    width = (end - start) / parts
    for part in range(parts):
        sigma = start + part * width
        middle = z + width / 2 * (z - f(sigma)) / sigma
        z += width * (middle - f(sigma + width / 2)) / (sigma + width / 2)
    return z


def step(z: float, now: float, before: float, sigma: Tensor, weight: float) -> float:
    r = (sigma[2] / sigma[1]).item()
    return r * z + (1 - r) * ((1 + weight) * now - weight * before)


def test_second_order_solves_a_linear_prediction_better_than_first_and_than_eq_4() -> None:
    slope, sigma = -0.9, torch.tensor([0.83, 0.8, 0.77], dtype=torch.float64)

    def f(at: float) -> float:
        return 1.2 + slope * (at - 0.8)

    exact = integrate(0.3, f, 0.8, 0.77)
    now, before, k = f(0.8), f(0.83), extrapolation(sigma)[1].item()
    second = abs(step(0.3, now, before, sigma, k) - exact)
    first = abs(step(0.3, now, before, sigma, 0.0) - exact)
    printed = abs(step(0.3, now, before, sigma, -k) - exact)  # its sign
    assert 10 * second < first < printed


def test_first_step_is_of_first_order_and_the_cap_holds() -> None:
    steps = 8
    free = extrapolation(solver_ratios(COSINE, steps))
    assert free[0] == 0 and free[1] == pytest.approx(1.5, abs=0.1)
    for cap in (0.7, 1.0):
        weights = Solver(Momentum(order=2, cap=cap), COSINE, steps).weights
        assert weights == pytest.approx(free.clamp(max=cap).tolist())
    assert Solver(Momentum(order=1), COSINE, steps).weights == [0.0] * steps


@pytest.mark.parametrize("p", [1e-6, 0.6, 1e3])
@pytest.mark.parametrize("name", ["pow_one_minus_t", "one_minus_t_pow"])
def test_coefficients_are_finite_where_the_schedule_stands_still(name: str, p: float) -> None:
    for choice in (Momentum(order=2), Momentum(order=2, rule="paper_literal")):
        solver = Solver(choice, Schedule(name=name, p=p), 12)
        values = torch.tensor([solver.kept, solver.weights, solver.earlier])
        assert (values >= 0).all() and (values <= 1).all()


def test_share_of_the_earlier_prediction_is_that_of_eq_4() -> None:
    sigma = torch.tensor([1.0, 0.9, 0.8, 0.1, 0.0], dtype=torch.float64)
    # 0.1^2 / (2 x 0.8 x 0.1); then 0.7^2 / (2 x 0.1 x 0.1) is more than there is; last none
    assert earlier_share(sigma).tolist() == pytest.approx([0, 0.0625, 7 / 8, 0])


def test_masked_pool_meets_the_schedule_and_all_falls_behind_it() -> None:
    unknown, masked = torch.tensor([90, 40]), torch.tensor([60, 20])
    literal = Solver(Momentum(order=2, rule="paper_literal"), COSINE, 8)
    taken, earlier = literal.shares(unknown, masked, 100, 3)
    assert taken.tolist() == [30, 20]
    share = earlier_share(solver_ratios(COSINE, 8))[3].item()
    assert earlier.tolist() == [math.floor(90 * share), math.floor(40 * share)]
    everywhere = Solver(Momentum(order=1, pool="all"), COSINE, 8)
    taken, earlier = everywhere.shares(unknown, masked, 100, 3)
    kept = math.floor(100 * math.cos(math.pi / 4) / math.cos(3 * math.pi / 16))
    assert taken.tolist() == [100 - kept] * 2 and earlier.tolist() == [0, 0]


def test_extrapolation_continues_the_change_and_stays_a_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    now, before = torch.randn(2, 50, 9, generator=generator).log_softmax(-1)
    further = extrapolate(now, before, 1.0, "probabilities").exp()
    torch.testing.assert_close(further.sum(dim=-1), torch.ones(50))
    rose = now > before
    assert (further / further.sum(-1, keepdim=True))[~rose].sum() < now.exp()[~rose].sum()
    torch.testing.assert_close(extrapolate(now, before, 0.5, "logits"), 1.5 * now - 0.5 * before)
    torch.testing.assert_close(extrapolate(now, now, 0.7, "probabilities"), now)


def test_highest_takes_from_the_pool_alone() -> None:
    values = torch.tensor([[5.0, 1, 4, 2, 3], [1.0, 2, 3, 4, 5]])
    pool = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype=torch.bool)
    taken = highest(values, pool, torch.tensor([2, 5]))
    assert taken.nonzero().tolist() == [[0, 2], [0, 4], [1, 0], [1, 1]]
