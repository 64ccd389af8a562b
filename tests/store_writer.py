"""Writes stores of hand-made rows, for tests of what reads them."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

from PIL import Image

from bakeoff.platform.conclusions.outcomes import outcomes
from bakeoff.platform.queries.views import Views
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.metrics import build_metric

MISSING = "missing"  # a sample without a score
# One value per seed: a number, a set metric's vector, None (a score without value) or MISSING.
Values = list[Any]
Scores = dict[str, dict[str, dict[str, Values]]]  # by metric, entry and prompt_id
RECIPE_COLUMNS = ("model", "weights_hash", "recipe", "recipe_id", "benchmark")
Counts = tuple[list[int], list[int], list[int], int]  # by prompt above, equal, below; without pair
STAGE_SHARES = {"text": 0.1, "network": 0.5, "draw": 0.2, "decode": 0.2, "score": 5.0}


@dataclass(frozen=True)
class StoreWriter:
    """One store. An entry is called "model/recipe", a prompt "task-number"."""

    path: Path

    def run(
        self,
        scores: Scores,
        *,
        study: str = "study",
        baseline: str | None = None,
        copies: dict[str, str] | None = None,  # entries with another's recipe and other seeds
        batches: dict[str, list[tuple[float, bool]]] | None = None,  # seconds an image, warm
        prompts: dict[str, str] | None = None,  # texts by prompt_id
        recipes: dict[str, str] | None = None,  # texts by entry
        costs: dict[str, int] | None = None,  # row-evaluations by entry
        traces: dict[str, list[dict[str, Any]]] | None = None,  # rows by entry, for every sample
        text: str | None = None,  # the study's file
        until_decided: float | None = None,
        equivalent: float | None = None,
        asked: dict[str, int] | None = None,  # the first so many prompts, by entry
        listed: list[str] | None = None,  # prompt_ids in the run's order, if not that of the scores
        batch_size: int = 10,
        minute: int = 0,
        part: str = "",
    ) -> None:
        """Write one run with its samples, scores and profiles; the first entry is the baseline."""
        store = Store(self.path)
        store.create()
        names = list(dict.fromkeys(name for by_entry in scores.values() for name in by_entry))
        entries = [
            _entry(name, (copies or {}).get(name), name == (baseline or names[0]))
            | ({"recipe": recipes[name]} if recipes and name in recipes else {})
            for name in names
        ]
        run_id = f"run-{study}-{minute}"
        wording = {}
        for entry in entries:
            entry["prompts"] = (asked or {}).get(entry["name"])
            shard_id = re.sub(r"[^\w-]", "-", f"{study}-{entry['name']}{part}")
            by_metric = {metric: found.get(entry["name"], {}) for metric, found in scores.items()}
            samples = {s["sample_id"]: s for s in _samples(entry, by_metric, prompts or {})}
            cost = {"row_evaluations": (costs or {}).get(entry["name"], 32)}
            timed = (batches or {}).get(entry["name"], [])
            shards = [f"{shard_id}-{number}" for number in range(max(1, len(timed)))]
            rows = [
                {**sample, **cost, "shard_id": shard}
                for sample, shard in zip(samples.values(), cycle(shards), strict=False)
            ]
            wording |= {row["prompt_id"]: row["prompt"] for row in rows}
            store.write("samples", shard_id, rows)
            for metric, by_prompt in by_metric.items():
                store.write("scores", shard_id, list(_scores(entry, metric, by_prompt)))
            profiles = list(_profiles(entry, shards, run_id, timed))
            store.write("profiles", shard_id, profiles)
            steps = (traces or {}).get(entry["name"], [])
            store.write("traces", shard_id, list(_traces(rows, steps)))
        run = {
            "run_id": run_id,
            "started": datetime(2025, 1, 1, 12, minute, tzinfo=UTC),
            "study_name": study,
            "study": text,
            "entries": entries,
            "metrics": [{"name": name, "version": version(name)} for name in scores],
            "prompts": [
                {"prompt_id": key, "prompt": wording.get(key, "")} for key in listed or wording
            ],
            "until_decided": until_decided,
            "equivalent": equivalent,
            "batch_size": batch_size,
        }
        store.write("runs", run_id, [run])

    def references(self, metric: str, vectors: list[list[float]]) -> None:
        """Write the feature vectors of a metric's real pictures."""
        head = {"metric": metric, "metric_version": version(metric), "benchmark": "shapes"}
        rows = [{**head, "vector": vector, "run_id": "run"} for vector in vectors]
        Store(self.path).write("references", metric, rows)


def composition(**entries: dict[str, list[Any]]) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Return scores of `composition` of the entries a, b and c, by their names here."""
    names = {"a": "m/a", "b": "m/b", "c": "n/c"}
    return {"composition": {names[name]: found for name, found in entries.items()}}


def counts(views: Views, opponent: str | None = "m/a", **chosen: Any) -> dict[Any, Counts]:
    """Return how often entries are above, equal and below, by prompt, and what has no pair."""
    found = outcomes(views, "study", "composition", opponent=opponent, **chosen)
    return {
        (one.entry, one.opponent): (
            one.above.tolist(),
            one.equal.tolist(),
            one.below.tolist(),
            one.missing,
        )
        for one in found
    }


def version(metric: str) -> str:
    return build_metric(metric).info.version


def _entry(name: str, copy_of: str | None, baseline: bool) -> dict[str, Any]:
    model, recipe = (copy_of or name).split("/")
    return {
        "name": name,
        "model": model,
        "weights_hash": f"hash of {model}",
        "recipe": f"recipe {recipe}",
        "recipe_id": recipe,
        "seeds": [1000, 1001] if copy_of else [0, 1],
        "benchmark": "shapes",
        "baseline": baseline,
    }


def _sample_id(entry: dict[str, Any], prompt_id: str, place: int) -> str:
    return f"{entry['model']} {entry['recipe_id']} {prompt_id} {entry['seeds'][place]}"


def _samples(
    entry: dict[str, Any], by_metric: dict[str, dict[str, Values]], prompts: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for by_prompt in by_metric.values():
        for prompt_id, values in by_prompt.items():
            for place in range(len(values)):
                yield {
                    **{column: entry[column] for column in RECIPE_COLUMNS},
                    "sample_id": _sample_id(entry, prompt_id, place),
                    "task": prompt_id.partition("-")[0],
                    "prompt_id": prompt_id,
                    "prompt": prompts.get(prompt_id, f"a photo of {prompt_id}"),
                    "seed": entry["seeds"][place],
                    "image": {"bytes": png(f"{entry['name']} {prompt_id}"), "path": None},
                    "tokens": [0] * 64,
                    "run_id": "run",
                }


def _scores(
    entry: dict[str, Any], metric: str, by_prompt: dict[str, Values]
) -> Iterator[dict[str, Any]]:
    for prompt_id, values in by_prompt.items():
        for place, value in enumerate(values):
            if value != MISSING:
                yield {
                    "sample_id": _sample_id(entry, prompt_id, place),
                    "metric": metric,
                    "metric_version": version(metric),
                    "value": None if isinstance(value, list) else value,
                    "vector": value if isinstance(value, list) else None,
                }


def _profiles(
    entry: dict[str, Any], shards: list[str], run_id: str, batches: list[tuple[float, bool]]
) -> Iterator[dict[str, Any]]:
    """Yield profiles of batches of ten images, one a shard; the peak grows by a megabyte each."""
    for number, (seconds, warm) in enumerate(batches):
        for stage, share in STAGE_SHARES.items():
            yield {
                "shard_id": shards[number],
                "model": entry["model"],
                "recipe_id": entry["recipe_id"],
                "stage": stage,
                "seconds": 10 * seconds * share,
                "images": 10,
                "peak_memory_bytes": 1_000_000 * (number + 1),
                "device": "cpu",
                "warm": warm,
                "traced": False,
                "run_id": run_id,
            }


def _traces(samples: list[dict[str, Any]], steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for sample in samples:
        for place, step in enumerate(steps):
            head = {name: sample[name] for name in ("sample_id", "shard_id", "run_id")}
            head |= {"place": place, "step": place, "phase": "forward", "tokens": [place] * 4}
            yield {**head, **step}


def png(text: str) -> bytes:
    """Return a picture of one color that follows from a text."""
    file = BytesIO()
    Image.new("RGB", (16, 16), tuple(hashlib.sha256(text.encode()).digest()[:3])).save(file, "PNG")
    return file.getvalue()
