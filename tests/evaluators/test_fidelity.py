"""Kernel distance against a loop over pairs, torchmetrics, and cases with known answers."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from bakeoff.evaluators.fidelity import KernelDistance, kernel_distance, kernel_estimate

WIDTH = 12


def draw(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, size=(count, WIDTH))


def by_pairs(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((np.dot(a, b) / WIDTH + 1) ** 3)

    within = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    references = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return float(within + references - 2 * np.mean([k(a, b) for a in x for b in y]))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (9, 14), (30, 5)])
def test_distance_equals_the_mean_over_pairs(n: int, m: int) -> None:
    x, y = draw(n, 0), draw(m, 1, 0.3)
    assert kernel_distance(x, y) == pytest.approx(by_pairs(x, y), rel=1e-10)


def test_distance_equals_torchmetrics_formula() -> None:
    x, y = draw(40, 0), draw(40, 1, 0.2)
    expected = poly_mmd(torch.from_numpy(x), torch.from_numpy(y), 3, None, 1.0)
    assert kernel_distance(x, y) == pytest.approx(float(expected), rel=1e-9)


def test_rows_in_blocks_give_the_same_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = draw(50, 0), draw(33, 1, 0.2)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("bakeoff.evaluators.fidelity.ROWS", 7)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_draws_of_one_distribution_are_near_zero_on_average() -> None:
    values = [kernel_distance(draw(40, 2 * i), draw(40, 2 * i + 1)) for i in range(200)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error


def test_a_shifted_set_is_farther_the_more_it_is_shifted() -> None:
    reference = draw(80, 1)
    near, far = (kernel_distance(draw(80, 0, shift), reference) for shift in (0.3, 0.6))
    assert 0.0 < near < far


def test_merged_workers_equal_one_worker() -> None:
    x, y = draw(30, 0), draw(20, 1, 0.2)
    prompts = [str(i // 2) for i in range(30)]
    whole = kernel_estimate(prompts, x, y)
    order = np.r_[20:30, 0:7, 7:20]
    merged = kernel_estimate([prompts[i] for i in order], x[order], y)
    assert merged.value == pytest.approx(whole.value, rel=1e-12)
    assert merged.interval == pytest.approx(whole.interval, rel=1e-9)


def test_interval_equals_the_jackknife_over_prompts_done_by_hand() -> None:
    x, y = draw(12, 0), draw(9, 1, 0.2)
    prompts = np.array(list("aaabbcccccdd"))
    found = kernel_estimate(list(prompts), x, y)
    left_out = np.array([by_pairs(x[prompts != p], y) for p in "abcd"])
    error = np.sqrt(3 / 4 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.interval is not None
    assert found.interval.high - found.value == pytest.approx(3.182446 * error, rel=1e-5)
    assert (found.value, found.prompts, found.samples) == (pytest.approx(by_pairs(x, y)), 4, 12)


def test_interval_covers_the_true_distance() -> None:
    # Two normal sets whose kernel expectations are known from a large draw.
    truth = kernel_distance(draw(3000, 90, 0.4), draw(3000, 91))
    covered = 0
    for study in range(120):
        reference = draw(800, 5000 + study)
        found = kernel_estimate([str(i) for i in range(40)], draw(40, study, 0.4), reference)
        covered += found.contains(truth)
    assert 0.88 <= covered / 120 <= 0.99


def test_one_prompt_has_a_distance_but_no_interval() -> None:
    found = kernel_estimate(["a"] * 5, draw(5, 0), draw(5, 1))
    assert found.interval is None and found.prompts == 1


@pytest.mark.parametrize(("x", "y"), [(draw(1, 0), draw(5, 1)), (draw(5, 0), draw(5, 1)[:, :3])])
def test_sets_that_cannot_be_compared_are_refused(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two vectors a side of equal width"):
        kernel_distance(x, y)


def test_metric_scores_are_the_extractors_vectors_and_its_name_says_so() -> None:
    metric = KernelDistance(
        lambda images: images.reshape(len(images), -1).astype(np.float64),
        extractor="raw_pixels",
        version="1",
        preprocessing="none",
    )
    images = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    assert metric.score(images, ["a", "b"], [None, None]).shape == (2, 27)
    assert metric.info.name == "kid_raw_pixels"
    assert metric.info.kind == "set" and not metric.info.higher_is_better
