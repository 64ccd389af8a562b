"""Finished pictures as samples of a study: what is told of them, and nothing that is not known.

Their models have no location, so that a run of the study has nothing to make, and scores. What the
folder lacks, or what cannot be read, are failures.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from bakeoff.platform.execution.expectations import (
    KEY,
    check_expectations,
    expectation_hashes,
    unknown_to_detector,
)
from bakeoff.platform.execution.heartbeat import beating, check_alone
from bakeoff.platform.execution.isolation import TRIES, Failure, failure_rows
from bakeoff.platform.execution.picture_folder import METADATA, Picture, read_pictures
from bakeoff.platform.execution.plan import GENERATE, Item, Shard, Wanted
from bakeoff.platform.execution.provenance import new_run_id
from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.pictures import encode_png, pixel_hash
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.benchmarks import OWN_PROMPTS, Benchmark
from bakeoff.platform.studies.metrics import METRICS, check_metrics, lacks
from bakeoff.platform.studies.study import (
    UNKNOWN_WEIGHTS,
    Entry,
    Model,
    Study,
    ToldRecipe,
    with_baseline,
)
from bakeoff.samplers.errors import InputError, shown
from bakeoff.samplers.plugins import NAME
from bakeoff.samplers.recipe import Recipe

AT_ONCE = 32  # pictures in memory
MOST_MISSING = 10  # times as many pictures as there are
Pixels = NDArray[np.uint8]  # [H, W, 3]
Found = Mapping[tuple[str, str, int], Picture]  # by entry, prompt_id and seed


@dataclass(frozen=True)
class Finished:
    """The study that a folder of pictures makes, and where each picture is."""

    study: Study
    found: Found


def read_finished(
    folder: Path, name: str, metrics: Sequence[str] = (), baseline: str | None = None
) -> Finished:
    """Return the study of a folder: its entries, prompts and seeds are those of the metadata.

    Without metrics it has all of Bakeoff's own that need nothing which the folder lacks, nor
    expectations of what the detector does not know. Entries
    share their seeds: pictures of one prompt and seed are compared.

    Raises:
        InputError: the metadata is wrong or holds no grid of prompts and seeds, or a metric or the
            baseline is unknown or does not suit.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"name {shown(name)} must be letters, digits, '.', '_' and '-' only")
    pictures = read_pictures(folder)
    by_id = {one.prompt.prompt_id: one.prompt for one in pictures}
    prompts = tuple(by_id.values())
    has_expectations = all(prompt.expectation is not None for prompt in prompts)
    benchmark = Benchmark(OWN_PROMPTS, "", {"all": lambda: prompts}, has_expectations)
    check_metrics(metrics, OWN_PROMPTS, benchmark)
    judges = {one for one, entry in METRICS.own.items() if entry.needs_expectations}
    unknown = next(filter(None, map(unknown_to_detector, pictures)), None)
    if unknown and judges.intersection(metrics):
        raise InputError(unknown)
    left_out = judges if unknown else set()
    own = METRICS.own.items()
    able = [one for one, entry in own if not lacks(entry, benchmark) and one not in left_out]
    seeds = tuple(sorted({one.seed for one in pictures}))
    firsts = {one.entry: one for one in reversed(pictures)}
    names = dict.fromkeys(one.entry for one in pictures)
    entries = with_baseline((_entry(firsts[one], seeds) for one in names), baseline)
    chosen = tuple(metrics or able)
    told = {
        "name": name,
        "images": str(folder),
        "metrics": list(chosen),
        "baseline": baseline,
        KEY: expectation_hashes(pictures),
    }
    study = Study(name, yaml.safe_dump(told), OWN_PROMPTS, prompts, entries, chosen)
    if study.images > (MOST_MISSING + 1) * len(pictures):
        raise InputError(
            f"{METADATA}: {len(seeds)} seeds of {len(prompts)} prompts make {study.images} "
            f"pictures, and {len(pictures)} are there: leave seed out, and a prompt's pictures are "
            "numbered"
        )
    found = {(one.entry, one.prompt.prompt_id, one.seed): one for one in pictures}
    return Finished(study, found)


def take_in(finished: Finished, store: Store) -> None:
    """Write into a store what it lacks of the pictures, and what is wrong with the others.

    Raises:
        InputError: a picture is another one than the sample that is stored in its place, a prompt
            expects something else than what its pictures were judged by, a part of the store cannot
            be read, or a run is writing it.
    """
    check_expectations(list(finished.found.values()), store)
    stored = _pairs(store, "samples", "sample_id", "pixel_hash")
    failed = _pairs(store, "failures", "sample_id", "message")
    hashes = dict(stored)
    with _Writer(store) as writer, ThreadPoolExecutor() as pool:
        for entry in finished.study.entries:
            for items in _chunks(entry, finished.study):
                seen = list(pool.map(partial(_look, finished.found, entry), items))
                for one in seen:
                    _check_same(one, hashes.get(one.item.sample_id))
                news = [one for one in seen if one.item.sample_id not in hashes]
                told = [one for one in news if (one.item.sample_id, str(one.error)) not in failed]
                writer.samples(entry, [one for one in news if one.pixels is not None])
                writer.failures(entry, [one for one in told if one.error])


class _Seen(NamedTuple):
    """A picture that was looked at: its pixels, or why there are none."""

    item: Item
    picture: Picture | None
    pixels: Pixels | None = None
    error: Exception | None = None


class _Writer:
    """Writes parts as a run of its own, which begins with the first of them."""

    def __init__(self, store: Store) -> None:
        self._store, self._until_the_end = store, ExitStack()
        self._run_id = new_run_id(datetime.now(UTC))
        self._claimed: Store | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        self._until_the_end.close()

    def samples(self, entry: Entry, seen: Sequence[_Seen]) -> None:
        """Write pictures, those of one size together: they are scored in batches."""
        shapes = dict.fromkeys(one.pixels.shape for one in seen if one.pixels is not None)
        for shape in shapes:
            alike = [one for one in seen if one.pixels is not None and one.pixels.shape == shape]
            shard = _shard(entry, [one.item for one in alike])
            rows = [_sample(shard, one.item, one.pixels, self._run_id) for one in alike]
            self._write("samples", shard.shard_id, rows)

    def failures(self, entry: Entry, seen: Sequence[_Seen]) -> None:
        """Write what no run shall try to make."""
        shard = _shard(entry, [one.item for one in seen])
        failed = [Failure(one.item, one.error, TRIES) for one in seen if one.error]
        rows = failure_rows(shard, GENERATE, failed, self._run_id)
        self._write("failures", f"{shard.shard_id}-pictures", rows)

    def _write(self, table: str, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            store = self._claim()
            persistently(lambda: store.write(table, part, rows))

    def _claim(self) -> Store:
        if self._claimed is None:
            self._store.create()
            check_alone(self._store.path)
            self._until_the_end.enter_context(beating(self._store.path, self._run_id))
            self._claimed = self._store.claimed(self._run_id)
        return self._claimed


def _entry(picture: Picture, seeds: tuple[int, ...]) -> Entry:
    model = Model(picture.model, None, "", dtype=None)
    return Entry(picture.entry, model, _recipe(picture.recipe), seeds)


def _recipe(text: str) -> Recipe | ToldRecipe:
    """Return a recipe in Bakeoff's one-line form as such, and other words as they are."""
    try:
        return Recipe.from_text(text)
    except InputError:
        return ToldRecipe(text)


def _identity(entry: Entry) -> dict[str, str]:
    return {
        "model": entry.model.name,
        "weights_hash": UNKNOWN_WEIGHTS,
        "recipe_id": entry.recipe.recipe_id,
        "benchmark": OWN_PROMPTS,
    }


def _chunks(entry: Entry, study: Study) -> Iterator[list[Item]]:
    wanted = Wanted(_identity(entry), study.prompts, entry.seeds)
    for start in range(0, len(wanted), AT_ONCE):
        yield list(wanted.items(range(start, min(start + AT_ONCE, len(wanted)))))


def _look(found: Found, entry: Entry, item: Item) -> _Seen:
    picture = found.get((entry.name, item.prompt_id, item.seed))
    if picture is None:
        told = f"{METADATA} has no picture of this prompt with seed {item.seed}"
        return _Seen(item, None, error=FileNotFoundError(told))
    try:
        return _Seen(item, picture, picture.pixels())
    except (OSError, MemoryError) as error:
        return _Seen(item, picture, error=error)


def _check_same(seen: _Seen, stored_hash: str | None) -> None:
    """Refuse other pixels under an identity that has some: one sample would be two pictures."""
    if seen.pixels is None or stored_hash in (None, pixel_hash(seen.pixels)):
        return
    assert seen.picture is not None
    raise InputError(
        f"{METADATA}:{seen.picture.line}: {seen.picture.file.name} has other pixels than the "
        "sample stored of its model, recipe, prompt and seed: change one of these, or name another "
        "store"
    )


def _shard(entry: Entry, items: Sequence[Item]) -> Shard:
    """Return the work that these samples would have been."""
    return Shard(
        model=entry.model.name,
        location="",
        weights_hash=UNKNOWN_WEIGHTS,
        recipe=str(entry.recipe),
        recipe_id=entry.recipe.recipe_id,
        benchmark=OWN_PROMPTS,
        items=tuple(items),
        metrics=(),
    )


def _sample(shard: Shard, item: Item, pixels: Pixels | None, run_id: str) -> dict[str, Any]:
    """Return a row of `samples`; what nobody told is null."""
    assert pixels is not None
    return {
        "sample_id": item.sample_id,
        "model": shard.model,
        "weights_hash": shard.weights_hash,
        "recipe": shard.recipe,
        "recipe_id": shard.recipe_id,
        "benchmark": shard.benchmark,
        "task": item.task,
        "prompt_id": item.prompt_id,
        "prompt": item.prompt,
        "seed": item.seed,
        "image": {"bytes": encode_png(pixels), "path": f"{item.sample_id}.png"},
        "pixel_hash": pixel_hash(pixels),
        "bakeoff_version": version("bakeoff"),
        "shard_id": shard.shard_id,
        "run_id": run_id,
    }


def _pairs(store: Store, table: str, *columns: str) -> set[tuple[str, str]]:
    rows = store.read(table, columns)
    return set(zip(*(rows[name].to_pylist() for name in columns), strict=True))
