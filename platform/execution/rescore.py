"""Rescoring: do stored scores come out again, here, with the metrics of today?"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bakeoff.evaluators.metric import Expectation, Metric
from bakeoff.platform.execution.sampling import device_name
from bakeoff.platform.store.pictures import decode_png
from bakeoff.platform.store.places import Place
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.benchmarks import BENCHMARKS
from bakeoff.platform.studies.metrics import METRICS, build_metric
from bakeoff.samplers.errors import InputError

TOLERANCE = 1e-4  # of a score, or of 1 where that is smaller: float32 on another device gives less
UNKNOWN = "unknown"
Row = dict[str, Any]


class Drift(NamedTuple):
    """How far scores of a metric lie from those stored, by the versions and devices of both.

    `differences` has one number a score, of a vector the largest; `failed` counts what could not
    be scored here.
    """

    metric: str
    stored_version: str
    version: str
    stored_device: str
    device: str
    differences: tuple[float, ...]
    failed: int
    is_drift: bool  # beyond the tolerance although the version is the same


def rescore(store: Store, samples: int) -> list[Drift]:
    """Score so many samples once more, always the same ones of a store, and compare.

    Raises:
        InputError: a part of the store cannot be read.
    """
    torch.set_num_threads(1)  # as in a worker: bits depend on it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    drawn = _draw(store, samples)
    scores = list(_scores(store, drawn))
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for score in scores:
        key = (score["metric"], score["metric_version"], score["device"])
        groups.setdefault(key, []).append(score)
    return [_drift(key, groups[key], drawn, device) for key in sorted(groups)]


def _draw(store: Store, samples: int) -> Mapping[str, Row]:
    """Return rows of `samples` by sample_id, drawn from a fixed seed."""
    parts = store.sample_parts()
    names = sorted(parts)
    names = Random(0).sample(names, min(samples, len(names)))
    by_part: dict[Place, list[str]] = {}
    for name in names:
        by_part.setdefault(parts[name], []).append(name)
    columns = ["sample_id", "benchmark", "prompt_id", "prompt", "image"]
    rows = [
        row
        for part, own in by_part.items()
        for row in store.read_part(part, columns, own).to_pylist()
    ]
    return {row["sample_id"]: row for row in rows}


def _scores(store: Store, drawn: Mapping[str, Row]) -> Iterator[Row]:
    """Yield the stored scores of samples, each with the device that made it."""
    profiles = store.read("profiles", ["shard_id", "run_id", "stage", "device"]).to_pylist()
    made_on = {(p["shard_id"], p["run_id"]): p["device"] for p in profiles if p["stage"] == "score"}
    columns = ["sample_id", "metric", "metric_version", "value", "vector", "shard_id", "run_id"]
    for part in store.parts("scores"):
        for row in store.read_part(part, columns, list(drawn)).to_pylist():
            device = made_on.get((row["shard_id"], row["run_id"]))
            yield row | {"device": device or UNKNOWN}


def _drift(
    key: tuple[str, str, str], scores: Sequence[Row], drawn: Mapping[str, Row], device: str
) -> Drift:
    name, stored_version, stored_device = key
    here = device_name(device)
    try:
        metric = build_metric(name, device)
    except InputError:  # of another Bakeoff, or of somebody's own
        return Drift(name, stored_version, UNKNOWN, stored_device, here, (), len(scores), False)
    version, judged = metric.info.version, METRICS[name].needs_expectations
    differences, failed, lacking, beyond = [], 0, 0, False
    for score in scores:
        if judged and _expectation(drawn[score["sample_id"]]) is None:  # as of finished pictures
            lacking += 1
            continue
        stored = np.asarray(score["vector"] if score["value"] is None else [score["value"]])
        try:
            again = np.atleast_1d(_score(metric, drawn[score["sample_id"]]))
            difference = _distance(again, stored)
        except Exception:  # whatever a metric may raise: it is told as a number
            failed += 1
            continue
        differences.append(difference)
        beyond |= difference > TOLERANCE * max(1.0, float(np.abs(stored).max()))
    is_drift = version == stored_version and (beyond or failed > 0)
    made = tuple(differences)
    unscored = failed + lacking
    return Drift(name, stored_version, version, stored_device, here, made, unscored, is_drift)


def _distance(again: NDArray[Any], stored: NDArray[Any]) -> float:
    """Return the largest difference; between a number and NaN it is infinite, of two NaN none."""
    apart = np.where(np.isnan(again) & np.isnan(stored), 0.0, np.abs(again - stored))
    return float(np.where(np.isnan(apart), np.inf, apart).max())


def _score(metric: Metric, sample: Row) -> Any:
    """Return the score of one picture: a number or a vector."""
    pixels = decode_png(sample["image"]["bytes"])
    return metric.score(pixels[None], [sample["prompt"]], [_expectation(sample)])[0]


def _expectation(sample: Row) -> Expectation | None:
    return _expectations(sample["benchmark"]).get((sample["prompt_id"], sample["prompt"]))


@cache
def _expectations(benchmark: str) -> Mapping[tuple[str, str], Expectation | None]:
    """Return what each prompt of a benchmark expects; nothing of one that is not known here."""
    known = BENCHMARKS.find(benchmark)
    if known is None:
        return {}
    prompts = [prompt for split in known.splits for prompt in known.prompts(split)]
    return {(prompt.prompt_id, prompt.prompt): prompt.expectation for prompt in prompts}
