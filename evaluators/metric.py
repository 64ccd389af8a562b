"""What a metric is: a description of itself, and scores for pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluators.statistics import Estimate

Images = NDArray[np.uint8]  # [B, H, W, 3], RGB
Expectation = Mapping[str, Any]  # GenEval's metadata: tag, include, exclude


@dataclass(frozen=True)
class MetricInfo:
    """What people and tables need to know of a metric before they believe its numbers."""

    name: str
    version: str  # changes whenever the same picture could get another score
    kind: Literal["image", "set"]  # one number a picture, or one number a set of pictures
    higher_is_better: bool
    unit: str
    range: tuple[float | None, float | None]  # None: unbounded on that side
    sentence: str  # for people
    needs: str  # what an item must carry to be scored
    preprocessing: str
    source: str


class Metric(Protocol):
    """A judge of pictures."""

    @property
    def info(self) -> MetricInfo:
        """Return the description; cheap, no network is loaded for it."""
        ...

    def score(
        self,
        images: Images,
        prompts: Sequence[str],
        expectations: Sequence[Expectation | None],
    ) -> NDArray[np.float64]:
        """Return one score per picture [B]; a set metric returns feature vectors [B, D].

        A picture's row depends on that picture and its prompt alone, not on the batch.
        """
        ...


class SetMetric(Metric, Protocol):
    """A metric whose number belongs to a set of pictures, compared with a reference set."""

    def estimate(
        self,
        prompts: Sequence[str],
        features: NDArray[np.float64],
        reference: NDArray[np.float64],
    ) -> Estimate:
        """Return the set's number, with its interval over prompts.

        `features` [N, D] belong to `prompts` [N]; `reference` is [M, D].
        """
        ...
