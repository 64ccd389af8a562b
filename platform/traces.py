"""Traces: how samples came about, from a sampler's step records to rows of the store."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bakeoff.samplers.trace import StepRecord


def trace_rows(
    records: Sequence[StepRecord], sample_ids: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield rows of `traces` for a batch, record by record; `sample_ids` [B] in its order."""
    for place, record in enumerate(records):
        tokens = np.asarray(record.tokens.cpu(), dtype=np.int32)  # [B, h, w]
        for row, sample_id in enumerate(sample_ids):
            yield {
                "sample_id": sample_id,
                "place": place,
                "step": record.step,
                "phase": record.phase,
                "mask_ratio": float(record.masked[row]) / tokens[row].size,
                "entropy": _finite(record.entropy[row]),
                "divergence": _finite(record.divergence[row]),
                "redrawn": _finite(record.redrawn[row]),
                "tokens": tokens[row].reshape(-1),
            }


def _finite(value: Any) -> float | None:
    """Return a number, or None for the nan of what is not defined at a step."""
    number = float(value)
    return number if math.isfinite(number) else None
