import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bakeoff.samplers.choices import Noise
from bakeoff.samplers.distribution import (
    Rows,
    difference,
    divergence,
    draw,
    guide,
    least_changed,
    lowest,
    regularize,
    temper,
    truncate,
)
from bakeoff.samplers.schedules import noise_deviation


def log(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).log()


def token_major(logits: Tensor) -> Tensor:
    return logits.flatten(2).transpose(1, 2)  # [B, C, H, W] -> [B, K, C]


@pytest.mark.golden_files("meissonic/noise_regularization")
@pytest.mark.parametrize(("preset", "amplitude"), [("official", 2.0), ("paper", 1.0)])
def test_noise_regularization_is_as_given(golden_file: Any, preset: str, amplitude: float) -> None:
    noise = Noise(curve="abs_cos", amplitude=amplitude)
    for case in golden_file.description["cases"]:
        tensors = golden_file.part(case["id"])
        logits, steps = token_major(tensors["in.logits"]), case["N"]
        untouched = logits.clone()
        deviation = noise_deviation(noise, steps - 1 - case["timestep"], steps)
        noisy = regularize(logits, tensors["in.normal"], deviation)
        expected = tensors[f"out.probs_{preset}"]
        torch.testing.assert_close(temper(noisy, 1.0).exp(), expected, atol=1e-6, rtol=0)
        assert logits.equal(untouched)


@pytest.mark.golden_files("meissonic/differential_sampling")
@pytest.mark.parametrize(("preset", "rule"), [("official", "positive"), ("paper", "abs")])
def test_differential_sampling_is_as_given(golden_file: Any, preset: str, rule: str) -> None:
    for case in golden_file.description["cases"]:
        tensors = golden_file.part(case["id"])
        previous = temper(token_major(tensors["in.logits_prev"]), 1.0)
        current = temper(token_major(tensors["in.logits_cur"]), 1.0)
        distance = divergence(current, previous)
        torch.testing.assert_close(distance, tensors["out.kl"], atol=1e-5, rtol=0)
        assert lowest(distance, case["n_selected"]).equal(tensors["out.selected"])
        everywhere = torch.ones(distance.shape, dtype=torch.bool)
        rows = current.flatten(0, 1), previous.flatten(0, 1)
        selected = least_changed(*rows, everywhere, case["z_percent"])
        assert selected.equal(tensors["out.selected"])
        changed = current.clone()
        changed[selected] = difference(current[selected], previous[selected], rule)
        expected = tensors[f"out.probs_{preset}"]
        torch.testing.assert_close(changed.exp(), expected, atol=1e-6, rtol=0)


def test_guidance_goes_from_unconditional_through_conditional() -> None:
    without, given = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0])
    assert guide(without, given, 1.0).equal(given)
    assert guide(without, given, 0.0).equal(without)
    assert guide(without, given, 3.0).tolist() == [4.0, -4.0]


def test_temperature_sharpens_and_flattens() -> None:
    logits = torch.tensor([[0.0, 2.0]])
    for temperature in (0.5, 1.0, 2.0):
        ratio = temper(logits, temperature).diff().item()
        assert ratio == pytest.approx(2 / temperature)


def test_half_precision_logits_become_float32() -> None:
    assert temper(torch.zeros(2, 3, dtype=torch.bfloat16), 0.7).dtype == torch.float32


def test_divergence_counts_impossible_codes_as_nothing() -> None:
    p, q = log([0.5, 0.5, 0.0]), log([0.25, 0.5, 0.25])
    assert divergence(p, q).item() == pytest.approx(0.5 * torch.tensor(2.0).log().item())
    assert divergence(p, p).item() == 0


def test_divergence_is_finite_where_codes_became_possible() -> None:
    p, q = log([0.25, 0.5, 0.25]), log([0.5, 0.5, 0.0])
    expected = 0.25 * math.log(0.25 / 0.5) + 0.25 * (math.log(0.25) + 46)
    assert divergence(p, q).item() == pytest.approx(expected)
    further = log([0.5, 0.0, 0.5])  # takes away more of what p has
    assert divergence(p, q) < divergence(p, further) < torch.inf


def test_divergence_counts_codes_that_underflow_as_nothing() -> None:
    p = torch.tensor([[0.0, -200.0]])  # a float32 probability of 0, though its logarithm is not
    assert divergence(p, log([1.0, 0.0])).item() == 0


@pytest.mark.parametrize("rule", ["abs", "positive"])
def test_difference_keeps_a_distribution_that_did_not_change(rule: str) -> None:
    p = log([0.25, 0.75])
    assert difference(p, p, rule).equal(p)


def test_rules_differ_in_what_fell() -> None:
    p, q = log([0.5, 0.3, 0.2]), log([0.2, 0.3, 0.5])
    assert difference(p, q, "abs").exp().tolist()[0] == pytest.approx([0.5, 0, 0.5], abs=1e-6)
    assert difference(p, q, "positive").exp().tolist()[0] == pytest.approx([1, 0, 0], abs=1e-5)


def test_only_the_pool_is_redrawn_and_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.randn(2, 8, 5, generator=generator).log_softmax(-1) for _ in range(2))
    pool = torch.zeros(2, 8, dtype=torch.bool)
    pool[0, :4], pool[1, 6:] = True, True
    selected = least_changed(p[pool], q[pool], pool, 50)
    assert selected.sum(dim=1).tolist() == [2, 1]
    assert not (selected & ~pool).any()
    distance = divergence(p, q)
    impossible = torch.full_like(q, -torch.inf)
    assert least_changed(p[pool], impossible[pool], pool, 75).sum(dim=1).tolist() == [3, 1]
    assert distance[selected].max() < distance[pool & ~selected].min()


def test_rows_at_their_own_marks_are_themselves_and_elsewhere_are_picked() -> None:
    where = torch.tensor([[True, False, True], [True, True, False]])
    places = torch.tensor([[False, False, True], [True, False, False]])
    rows = Rows(torch.arange(4.0)[:, None], where)
    assert rows.at(where) is rows.values
    assert rows.at(where.clone()).equal(rows.values)
    assert rows.at(places).tolist() == [[1.0], [2.0]]


def test_lowest_takes_exactly_as_many_as_asked_even_in_ties() -> None:
    values = torch.tensor([[1.0, 0.0, 1.0, 1.0], [3.0, 2.0, 1.0, 0.0]])
    assert lowest(values, torch.tensor([2, 0])).tolist() == [
        [True, True, False, False],
        [False] * 4,
    ]
    assert lowest(values, 3).sum(dim=1).tolist() == [3, 3]


def test_top_k_keeps_ties_with_the_kth() -> None:
    probs = log([0.4, 0.2, 0.2, 0.2], [0.1, 0.2, 0.3, 0.4])
    kept = truncate(probs, 2, 1.0).exp()
    assert kept[0].tolist() == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert kept[1].tolist() == pytest.approx([0, 0, 3 / 7, 4 / 7])
    assert truncate(probs, 99, 1.0).equal(probs)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [(0.35, [0, 0, 0, 1]), (0.45, [0, 0, 3 / 7, 4 / 7]), (0.95, [0.1, 0.2, 0.3, 0.4])],
)
def test_top_p_keeps_the_code_that_crosses_it(top_p: float, expected: list[float]) -> None:
    probs = log([0.1, 0.2, 0.3, 0.4])
    assert truncate(probs, None, top_p).exp().tolist()[0] == pytest.approx(expected)


def test_draw_follows_the_distribution() -> None:
    probs = torch.tensor([0.1, 0.0, 0.6, 0.3, 0.0])
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    codes = draw(probs.log().expand(10_000, 5), uniform)
    assert torch.bincount(codes, minlength=5).tolist() == [1000, 0, 6000, 3000, 0]


@pytest.mark.parametrize("number", [0.0, 1 - 2**-24])
def test_draw_never_takes_an_impossible_code_at_the_edges(number: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2000, 50, generator=generator)
    logits[:, [0, 1, 48, 49]] = -torch.inf
    codes = draw(logits.log_softmax(-1), torch.full((2000,), number))
    assert codes.min() >= 2 and codes.max() <= 47


def test_draw_without_temperature_takes_the_likeliest() -> None:
    assert draw(log([0.2, 0.5, 0.3]), torch.tensor([0.99]), temperature=0).tolist() == [1]


def test_draw_in_spans_is_the_inverse_of_the_running_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    log_probs = (3 * torch.randn(600, 1024, generator=generator)).log_softmax(-1)
    log_probs[:, 100:700] = -torch.inf  # whole spans of no mass
    log_probs = log_probs.log_softmax(-1)
    uniform = torch.rand(600, generator=generator)
    uniform[:4] = torch.tensor([0.0, 1 - 2**-24, 2**-24, 0.5])
    cumulative = log_probs.double().exp().cumsum(-1)
    codes = draw(log_probs, uniform)
    assert log_probs.gather(-1, codes[:, None]).isfinite().all()
    end = cumulative.gather(-1, codes[:, None])[:, 0]
    start = end - log_probs.double().exp().gather(-1, codes[:, None])[:, 0]
    assert ((start <= uniform + 1e-6) & (uniform <= end + 1e-6)).all()
    assert draw(log_probs.view(20, 30, 1024), uniform.view(20, 30)).equal(codes.view(20, 30))


def test_draw_finds_a_code_next_to_the_edges_of_its_spans() -> None:
    generator = torch.Generator().manual_seed(0)
    log_probs = (2 * torch.randn(4000, 512, generator=generator)).log_softmax(-1)
    edges = log_probs.exp().unflatten(-1, (4, 128)).sum(-1).cumsum(-1)
    for edge in range(3):
        for apart in range(-3, 2):  # numbers come in units of 2^-24
            number = ((edges[:, edge] / edges[:, -1] * 2**24).round() + apart) / 2**24
            codes = draw(log_probs, number)
            assert ((codes - 128 * (edge + 1)).abs() < 128).all()
