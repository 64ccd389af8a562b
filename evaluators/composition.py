"""Composition: does the picture hold what its prompt says, by GenEval's rules?"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluators.metric import Expectation, Images, MetricInfo

Found = TypeVar("Found")


class Composition(Generic[Found]):
    """Share of pictures in which a detector finds what was asked for.

    The detector and the rule come from outside, so that the embedded world's exact detector and
    a trained one give the same metric. `detect` takes one picture [H, W, 3].

    Source: GenEval (Ghosh et al., 2023), section 3.
    """

    def __init__(
        self,
        detect: Callable[[NDArray[np.uint8]], Sequence[Found]],
        holds: Callable[[Expectation, Sequence[Found]], bool],
        *,
        version: str = "1",
    ) -> None:
        self._detect = detect
        self._holds = holds
        self.info = MetricInfo(
            name="composition",
            version=version,
            kind="image",
            higher_is_better=True,
            unit="share of pictures",
            range=(0.0, 1.0),
            sentence="Share of pictures that show the shapes, counts, colors and positions asked "
            "for, as a detector sees them.",
            needs="an expectation with each prompt",
            preprocessing="none: the detector reads the pixels as they are",
            source="GenEval (Ghosh et al., 2023), section 3",
        )

    def score(
        self,
        images: Images,
        prompts: Sequence[str],
        expectations: Sequence[Expectation | None],
    ) -> NDArray[np.float64]:
        """Return 1.0 for each picture that holds its expectation and 0.0 for the others [B].

        Raises:
            ValueError: a prompt has no expectation, or the lengths differ.
        """
        scores = np.zeros(len(images), dtype=np.float64)
        items = zip(images, prompts, expectations, strict=True)
        for index, (image, prompt, expectation) in enumerate(items):
            if expectation is None:
                raise ValueError(f"composition needs an expectation, prompt {prompt!r} has none")
            scores[index] = self._holds(expectation, self._detect(image))
        return scores
