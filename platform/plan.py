"""The plan: what a study wants less what its store holds, cut into shards.

Resuming, extending by a recipe, scoring with a new metric and tracing what was made untraced are
the same set difference. How the work is cut never shows in a sample: identity and noise follow from
model, recipe, prompt and seed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple, Self

from bakeoff.platform.benchmarks import Prompt
from bakeoff.platform.places import Place
from bakeoff.platform.study import Entry, Study

# Stages that fail beside the metrics, which are named as they are.
GENERATE = "generate"
TRACE = "trace"


class MetricKey(NamedTuple):
    """A metric whose scores may stand side by side."""

    name: str
    version: str


class Stored(NamedTuple):
    """What a store holds: the part of each sample, its scores, which were traced, what failed.

    What failed for good is not planned again: making a sample, tracing it, or one of its metrics.
    """

    samples: Mapping[str, Place]
    scores: Set[tuple[str, str, str]]  # (sample_id, metric, metric_version)
    traced: Set[str] = frozenset()  # sample_id
    failed: Set[tuple[str, str]] = frozenset()  # (sample_id, stage)


@dataclass(frozen=True)
class Item:
    """One sample to make or to score."""

    sample_id: str
    prompt_id: str
    prompt: str
    task: str
    seed: int
    expectation: Mapping[str, Any] | None

    @property
    def noise_seed(self) -> int:
        """The seed of the sample's random streams, another for every prompt.

        One seed's noise under all prompts would tie their scores together, and the prompt would no
        longer be an independent unit. Recipes and models still share the noise of a prompt.
        """
        return int.from_bytes(_digest(self.seed, self.prompt)[:6], "big")


@dataclass(frozen=True)
class Shard:
    """A batch of samples of one model and recipe, the unit of work and of what a crash can lose.

    `part` is where the samples already lie, as a file name; without one they are to be made. With
    `traces` their steps are stored too, and samples that lie there are made once more for that.
    """

    model: str
    location: str
    weights_hash: str
    recipe: str  # one-line text
    recipe_id: str
    benchmark: str
    items: tuple[Item, ...]
    metrics: tuple[MetricKey, ...]
    part: str | None = None
    traces: bool = False
    dtype: str = "float32"
    compiled: bool = False

    @property
    def needs_model(self) -> bool:
        """Whether the samples are to be made, or made once more for their traces."""
        return self.part is None or self.traces

    @cached_property
    def shard_id(self) -> str:
        """A hash of the work, so that the same work writes the same part names."""
        ids = [item.sample_id for item in self.items]
        return _digest(ids, self.metrics, self.part).hex()[:24]

    def to_json(self) -> str:
        """Return the text that travels to a worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the shard of a text."""
        fields = json.loads(text)
        items = tuple(Item(**item) for item in fields.pop("items"))
        metrics = tuple(MetricKey(*metric) for metric in fields.pop("metrics"))
        return cls(items=items, metrics=metrics, **fields)


def sample_id(
    *, model: str, weights_hash: str, recipe_id: str, benchmark: str, prompt: Prompt, seed: int
) -> str:
    """Return the identity of a sample: a hash of what determines its pixels, and nothing else."""
    identity = (model, weights_hash, recipe_id, benchmark, prompt.prompt_id, prompt.prompt, seed)
    return _digest(*identity).hex()[:32]


def wanted_items(study: Study, entry: Entry, weights_hash: str) -> Iterator[Item]:
    """Yield every sample of an entry, seed by seed, each with all prompts."""
    for seed in entry.seeds:
        for prompt in study.prompts:
            identity = sample_id(
                model=entry.model.name,
                weights_hash=weights_hash,
                recipe_id=entry.recipe.recipe_id,
                benchmark=study.benchmark,
                prompt=prompt,
                seed=seed,
            )
            yield Item(
                identity, prompt.prompt_id, prompt.prompt, prompt.task, seed, prompt.expectation
            )


def plan(
    study: Study,
    weights_hashes: Mapping[str, str],
    metrics: Sequence[MetricKey],
    stored: Stored,
    batch_size: int,
) -> Iterator[Shard]:
    """Yield the shards of what is wanted and not stored, model by model.

    `weights_hashes` has one hash per model name. Samples that lack the same metrics and traces go
    together; stored ones stay with their part, which is then read once.
    """
    for entry in study.entries:
        weights_hash = weights_hashes[entry.model.name]
        groups: dict[tuple[str | None, tuple[MetricKey, ...], bool], list[Item]] = {}
        for item in wanted_items(study, entry, weights_hash):
            part = stored.samples.get(item.sample_id)
            if part is None and (item.sample_id, GENERATE) in stored.failed:
                continue
            missing = tuple(
                metric
                for metric in metrics
                if (item.sample_id, *metric) not in stored.scores
                and (item.sample_id, metric.name) not in stored.failed
            )
            # what a killed run traced and did not store is made again as a whole
            untraced = part is None or item.sample_id not in stored.traced
            is_lost = part is not None and (item.sample_id, TRACE) in stored.failed
            trace = study.traces and untraced and not is_lost
            if part is None or missing or trace:
                key = (part.name if part else None, missing, trace)
                groups.setdefault(key, []).append(item)
        for (name, missing, trace), items in groups.items():
            for start in range(0, len(items), batch_size):
                yield Shard(
                    model=entry.model.name,
                    location=entry.model.location,
                    weights_hash=weights_hash,
                    recipe=str(entry.recipe),
                    recipe_id=entry.recipe.recipe_id,
                    benchmark=study.benchmark,
                    items=tuple(items[start : start + batch_size]),
                    metrics=missing,
                    part=name,
                    traces=trace,
                    dtype=entry.model.dtype,
                    compiled=entry.model.compiled,
                )


def _digest(*parts: object) -> bytes:
    return sha256(json.dumps(parts).encode()).digest()
