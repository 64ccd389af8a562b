"""CLIPScore: how well a picture and its prompt agree, by a CLIP model that judges from outside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluators.clip_encoder import load_encoder
from bakeoff.evaluators.metric import Expectation, Images, MetricInfo


class ClipScore:
    """Cosine between a CLIP model's vectors of picture and prompt, times 1.

    Published variants multiply by 100 or 2.5 and cut at zero; this one does neither. The judge
    must not be the encoder that conditions the generator.

    Raises:
        ValueError: the folder holds no CLIP model.
    Source: Hessel et al. (2021), equation 1, with w = 1 and without the cut.
    """

    def __init__(self, folder: Path, *, name: str = "clip_score", device: str = "cpu") -> None:
        self._encoder = load_encoder(folder, device)
        self._name = name

    @property
    def info(self) -> MetricInfo:
        """Return the description; the version carries the weights, other weights score anew."""
        return MetricInfo(
            name=self._name,
            version=f"1-{self._encoder.weights_hash[:12]}",
            kind="image",
            higher_is_better=True,
            unit="cosine",
            range=(-1.0, 1.0),
            sentence="Agreement of picture and prompt as a separate CLIP model sees it.",
            needs="a prompt",
            preprocessing=self._encoder.preprocessing,
            source="Hessel et al. (2021), equation 1, with w = 1 and without the cut at zero",
        )

    def score(
        self,
        images: Images,
        prompts: Sequence[str],
        expectations: Sequence[Expectation | None],
    ) -> NDArray[np.float64]:
        """Return the cosine of each picture and its prompt [B], in [-1, 1].

        Raises:
            ValueError: pictures and prompts differ in number.
        """
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images do not match {len(prompts)} prompts")
        pictures, texts = self._encoder.images(images), self._encoder.texts(prompts)  # [B, D]
        norms = np.linalg.norm(pictures, axis=1) * np.linalg.norm(texts, axis=1)
        return np.asarray((pictures * texts).sum(axis=1) / norms, dtype=np.float64)
