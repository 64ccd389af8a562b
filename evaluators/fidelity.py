"""Kernel distance between sets of pictures, on the features of a named extractor."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluators.metric import Expectation, Images, MetricInfo
from bakeoff.evaluators.statistics import Estimate, jackknife_interval

Features = NDArray[np.float64]  # [N, D]
ROWS = 1024  # kernel rows computed at once


def polynomial_kernel(left: Features, right: Features) -> Features:
    """Return the cubic kernel (x·y / D + 1)³ of all pairs [N, M]."""
    base = left @ right.T / left.shape[1] + 1.0
    return base * base * base  # several times faster than a power


def kernel_distance(features: Features, reference: Features) -> float:
    """Return the unbiased squared maximum mean discrepancy of two sets of vectors.

    Zero in expectation for two draws of one distribution, so single values may be slightly
    negative. All vectors are used at once; published KID values average random subsets.

    Raises:
        ValueError: fewer than two vectors on a side, or the widths differ.
    Source: Bińkowski et al. (2018), equations 3 and 4.
    """
    within, across, between_references = _sums(features, reference)
    return _distance(within.sum(), across.sum(), between_references, len(features), len(reference))


def kernel_estimate(prompts: Sequence[str], features: Features, reference: Features) -> Estimate:
    """Return the kernel distance with an interval over prompts; the reference counts as fixed.

    The interval comes from leaving out one prompt, with all its seeds, at a time.

    Raises:
        ValueError: as `kernel_distance`, or prompts and features differ in number.
    """
    if len(prompts) != len(features):
        raise ValueError(f"{len(prompts)} prompts do not match {len(features)} feature vectors")
    within, across, references = _sums(features, reference)
    value = _distance(within.sum(), across.sum(), references, len(features), len(reference))
    _, index = np.unique(np.asarray(prompts, dtype=str), return_inverse=True)
    left_out = []
    for prompt in range(index.max() + 1):
        rows = index == prompt
        own = features[rows]
        rest = len(features) - len(own)
        if rest < 2:
            return Estimate(value, None, int(index.max()) + 1, len(features))
        kernel = polynomial_kernel(own, own)
        # Pairs that touch the prompt: both orders of (own, any), less what that counts twice.
        touching = 2 * within[rows].sum() - (kernel.sum() - np.trace(kernel))
        left_out.append(
            _distance(
                within.sum() - touching,
                across.sum() - across[rows].sum(),
                references,
                rest,
                len(reference),
            )
        )
    return Estimate(value, jackknife_interval(value, left_out), len(left_out), len(features))


def _sums(features: Features, reference: Features) -> tuple[Features, Features, float]:
    """Return kernel sums: of each feature to the others [N], to the references [N], and theirs."""
    if min(len(features), len(reference)) < 2 or features.shape[1:] != reference.shape[1:]:
        raise ValueError(
            "kernel distance needs two vectors a side of equal width, "
            f"got {list(features.shape)} and {list(reference.shape)}"
        )
    between_references = float(_sums_to_others(reference).sum())
    return _sums_to_others(features), _row_sums(features, reference), between_references


def _sums_to_others(vectors: Features) -> Features:
    """Return each vector's kernel sum to all others [N], itself left out."""
    itself = ((vectors**2).sum(axis=1) / vectors.shape[1] + 1.0) ** 3
    return _row_sums(vectors, vectors) - itself


def _row_sums(left: Features, right: Features) -> Features:
    starts = range(0, len(left), ROWS)
    return np.concatenate(
        [polynomial_kernel(left[i : i + ROWS], right).sum(axis=1) for i in starts]
    )


def _distance(within: float, across: float, references: float, n: int, m: int) -> float:
    return float(within / (n * (n - 1)) + references / (m * (m - 1)) - 2 * across / (n * m))


class KernelDistance:
    """KID on the vectors of an extractor that stands in the metric's name (as in `kid_tiny_clip`).

    `extract` turns pictures [B, H, W, 3] into vectors [B, D], each from its own picture alone.
    """

    def __init__(
        self,
        extract: Callable[[Images], Features],
        *,
        extractor: str,
        version: str,
        preprocessing: str,
    ) -> None:
        self._extract = extract
        self.info = MetricInfo(
            name=f"kid_{extractor}",
            version=version,
            kind="set",
            higher_is_better=False,
            unit="squared discrepancy",
            range=(None, None),
            sentence=f"Distance of a set of pictures from real ones, on the features of {extractor}"
            "; near zero when they cannot be told apart.",
            needs="reference pictures with the benchmark",
            preprocessing=preprocessing,
            source="Bińkowski et al. (2018), unbiased, cubic kernel, all pictures at once",
        )

    def score(
        self,
        images: Images,
        prompts: Sequence[str],
        expectations: Sequence[Expectation | None],
    ) -> Features:
        """Return one feature vector per picture [B, D]."""
        return self._extract(images)

    def estimate(self, prompts: Sequence[str], features: Features, reference: Features) -> Estimate:
        """Return the distance with its interval over prompts."""
        return kernel_estimate(prompts, features, reference)
