"""Traces: how samples came about, from a sampler's step records to rows of the store."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bakeoff.samplers.trace import StepRecord


def trace_rows(records: Sequence[StepRecord], sample_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of `traces` for a batch, record by record; `sample_ids` [B] in its order.

    An image of which nothing is drawn is finished while others of its batch are not (Jacobi
    decoding): it has no row then, so that its trace is the same in any batch.
    """
    rows = []
    for place, record in enumerate(records):
        tokens = record.tokens.cpu().flatten(1).numpy().astype(np.int32)  # [B, K]
        measured = {
            "mask_ratio": (record.masked / tokens.shape[1]).tolist(),
            "entropy": record.entropy.tolist(),
            "divergence": record.divergence.tolist(),
            "redrawn": record.redrawn.tolist(),
        }
        for image, sample_id in enumerate(sample_ids):
            if record.phase == "forward" and math.isnan(measured["entropy"][image]):
                continue
            head = {"sample_id": sample_id, "place": place}
            head |= {"step": record.step, "phase": record.phase, "tokens": tokens[image]}
            rows.append(head | {name: _finite(value[image]) for name, value in measured.items()})
    return rows


def _finite(value: float) -> float | None:
    """Return a number, or None for the nan of what is not defined at a step."""
    return value if math.isfinite(value) else None
