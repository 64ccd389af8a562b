"""The plan: what a study wants less what its store holds, cut into shards when they are asked for.

Resuming, extending by a recipe, scoring with a new metric and tracing what was made untraced are
the same set difference. How the work is cut never shows in a sample: identity and noise follow from
model, recipe, prompt and seed. Nothing here grows with the number of samples: they are looked at a
window at a time, and what is stored is told in `Stored`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import DIGEST, Digests, MetricKey, StageKey, Stored, read_stored
from bakeoff.platform.studies.benchmarks import Prompt
from bakeoff.platform.studies.study import Entry, Study

# Stages that fail beside the metrics, which are named as they are.
GENERATE = "generate"
TRACE = "trace"
WINDOW = 8192  # samples that are looked up at once


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
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps(told | {"items": [vars(item) for item in self.items]})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the shard of a text."""
        told = json.loads(text)
        items = tuple(Item(**item) for item in told.pop("items"))
        metrics = tuple(MetricKey(*metric) for metric in told.pop("metrics"))
        return cls(items=items, metrics=metrics, **told)


def sample_id(
    *, model: str, weights_hash: str, recipe_id: str, benchmark: str, prompt: Prompt, seed: int
) -> str:
    """Return the identity of a sample: a hash of what determines its pixels, and nothing else."""
    identity = (model, weights_hash, recipe_id, benchmark, prompt.prompt_id, prompt.prompt, seed)
    return _digest(*identity).hex()[:32]


class Wanted:
    """The samples of a model and recipe in their order: seed by seed, each with all prompts."""

    def __init__(
        self, identity: Mapping[str, str], prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> None:
        """Take what `sample_id` takes, but many prompts and seeds."""
        head = [identity[name] for name in ("model", "weights_hash", "recipe_id", "benchmark")]
        self.prompts, self.seeds = prompts, seeds
        # The text that `sample_id` hashes, in pieces: its beginning is hashed once for all.
        self._head = sha256(json.dumps(head)[:-1].encode() + b", ")
        texts = (json.dumps([prompt.prompt_id, prompt.prompt]) for prompt in prompts)
        self._prompts = [text[1:-1].encode() + b", " for text in texts]

    def __len__(self) -> int:
        return len(self.prompts) * len(self.seeds)

    def windows(self) -> Iterator[tuple[int, Digests]]:
        """Yield ids as bytes, some thousand at a time, each time with the place of the first."""
        for start in range(0, len(self), WINDOW):
            places = range(start, min(start + WINDOW, len(self)))
            yield start, np.frombuffer(b"".join(map(self._digest, places)), DIGEST)

    def items(self, places: Iterable[int]) -> Iterator[Item]:
        """Yield the samples at these places."""
        for place in places:
            seed, number = divmod(place, len(self.prompts))
            one, identity = self.prompts[number], self._digest(place).hex()
            yield Item(
                identity, one.prompt_id, one.prompt, one.task, self.seeds[seed], one.expectation
            )

    def _digest(self, place: int) -> bytes:
        seed, number = divmod(place, len(self._prompts))
        digest = self._head.copy()
        digest.update(self._prompts[number] + b"%d]" % self.seeds[seed])
        return digest.digest()[:16]


class Lack(NamedTuple):
    """What samples that lie together lack."""

    part: str | None  # that they lie in; None: they are to be made
    metrics: tuple[MetricKey, ...]
    traces: bool

    @property
    def needs_model(self) -> bool:
        """Whether a model has to run."""
        return self.part is None or self.traces


class Count(NamedTuple):
    """How many samples something is to be done for, and for how many of them by each model."""

    images: int
    by_model: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """What a study lacks in a store; `weights_hashes` has one hash per model name."""

    study: Study
    weights_hashes: Mapping[str, str]
    metrics: tuple[MetricKey, ...]
    stored: Stored

    def wanted(self, entry: Entry) -> Wanted:
        """Return the samples of an entry."""
        identity = {
            "model": entry.model.name,
            "weights_hash": self.weights_hashes[entry.model.name],
            "recipe_id": entry.recipe.recipe_id,
            "benchmark": self.study.benchmark,
        }
        return Wanted(identity, self.study.prompts, entry.seeds)

    def count(self) -> Count:
        """Count what is to be done."""
        images, by_model = 0, Counter[str]()
        for entry in self.study.entries:
            for lack, places in self._lacks(self.wanted(entry)):
                images += len(places)
                by_model[entry.model.name] += len(places) * lack.needs_model
        return Count(images, +by_model)

    def shards(
        self,
        size: Callable[[Entry, Lack], int],
        entries: Sequence[Entry] | None = None,
        *,
        needs_model: bool | None = None,
    ) -> Iterator[Shard]:
        """Yield what is to be done in shards of the size that is right when each is cut.

        Samples that lack the same go together; stored ones stay with their part, which is then
        read once. Other entries, and what needs a model or needs none, can be left out.
        """
        for entry in self.study.entries if entries is None else entries:
            wanted = self.wanted(entry)
            for lack, places in self._lacks(wanted):
                if needs_model not in (None, lack.needs_model):
                    continue
                start = 0
                while start < len(places):
                    end = start + size(entry, lack)
                    yield self._shard(entry, lack, wanted.items(places[start:end].tolist()))
                    start = end

    def _shard(self, entry: Entry, lack: Lack, items: Iterable[Item]) -> Shard:
        return Shard(
            model=entry.model.name,
            location=entry.model.location or "",  # of one that made all its pictures elsewhere
            weights_hash=self.weights_hashes[entry.model.name],
            recipe=str(entry.recipe),
            recipe_id=entry.recipe.recipe_id,
            benchmark=self.study.benchmark,
            items=tuple(items),
            metrics=lack.metrics,
            part=lack.part,
            traces=lack.traces,
            dtype=entry.model.dtype or "",
            compiled=entry.model.compiled,
        )

    def _lacks(self, wanted: Wanted) -> Iterator[tuple[Lack, NDArray[np.int64]]]:
        """Yield places of samples that lack the same, window by window."""
        for start, digests in wanted.windows():
            parts = self.stored.samples.find(digests)
            due, codes = self._due(digests, parts)
            for places in _alike(codes, np.flatnonzero(due)):
                bits = int(codes[places[0]])
                lacking = [bool(bits >> place & 1) for place in range(len(self.metrics) + 1)]
                metrics = tuple(m for m, lacks in zip(self.metrics, lacking, strict=False) if lacks)
                part = parts[places[0]]
                name = self.stored.samples.names[part] if part >= 0 else None
                yield Lack(name, metrics, lacking[-1]), start + places

    def _due(
        self, digests: Digests, parts: NDArray[np.int32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which samples lack anything, and a number that is the same for the same lack.

        Its lowest bits are the metrics', the next is the trace's, those above are of the part.
        """
        is_new = parts < 0
        codes = np.zeros(len(digests), np.int64)
        for place, metric in enumerate(self.metrics):
            done = self.stored.scored(metric, digests)
            done |= self.stored.given_up(StageKey(*metric), digests)
            codes |= (~done).astype(np.int64) << place
        if self.study.traces:
            # what a killed run traced and did not store is made again as a whole
            traced = self.stored.traced.hold(digests)
            traced |= self.stored.given_up(StageKey(TRACE), digests)
            codes |= (is_new | ~traced).astype(np.int64) << len(self.metrics)
        given_up = is_new & self.stored.given_up(StageKey(GENERATE), digests)
        due = (is_new | (codes > 0)) & ~given_up
        return due, codes | (parts.astype(np.int64) + 1) << (len(self.metrics) + 1)


def read_plan(
    study: Study,
    store: Store,
    weights_hashes: Mapping[str, str],
    metrics: Sequence[MetricKey],
    tries: int | None,
) -> Plan:
    """Return the plan of a study by what a store holds.

    What failed in so many `tries` is left out; without a number all is tried again.

    Raises:
        InputError: a part of the store is damaged.
    """
    stored = read_stored(store, traces=study.traces, tries=tries)
    return Plan(study, weights_hashes, tuple(metrics), stored)


def _alike(codes: NDArray[np.int64], places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return places in groups of the same code, in the order in which each comes first."""
    if not len(places):
        return []
    order = places[np.argsort(codes[places], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return sorted(groups, key=lambda group: int(group[0]))


def _digest(*parts: object) -> bytes:
    return sha256(json.dumps(parts).encode()).digest()
