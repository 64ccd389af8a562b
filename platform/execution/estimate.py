"""What a run would cost, from what the same store has measured; what it has not, is not guessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.platform.execution.plan import Shard
from bakeoff.platform.store.store import Store
from bakeoff.samplers.cost import row_evaluations
from bakeoff.samplers.recipe import Recipe

HOW = ("model", "dtype", "compiled")  # what runs, and how: other ways are faster or slower
COLUMNS = (*HOW, "recipe_id", "stage", "seconds", "images", "row_evaluations", "warm", "traced")
Row = Mapping[str, Any]
How = tuple[Any, ...]
Which = tuple[How, str]  # and recipe_id


@dataclass(frozen=True)
class Estimate:
    """The cost of shards; a figure is None where some of it was never measured.

    `worker_seconds` are those of one worker, without its start; `unmeasured` names the models whose
    seconds are not known.
    """

    images: int
    scored: int
    row_evaluations: int | None
    worker_seconds: float | None
    size_bytes: int | None
    files: int
    unmeasured: tuple[str, ...]


@dataclass
class Sum:
    """A sum of costs an image × images; None once one is not known."""

    total: float | None = 0.0

    def add(self, each: float | None, images: int) -> None:
        """Add the cost of so many images."""
        if self.total is not None:
            self.total = None if each is None else self.total + each * images


@dataclass(frozen=True)
class Rates:
    """What was measured an image: row-evaluations, seconds of sampling and of scoring.

    A recipe that was never run costs its model's seconds a row-evaluation, run in the same way.
    """

    evaluations: Mapping[Which, float]
    sampling: Mapping[Which, float]
    per_evaluation: Mapping[How, float]
    scoring: float | None

    def evaluations_of(self, shard: Shard) -> float | None:
        """Return the row-evaluations of an image; counted from a recipe that was never run."""
        recipe = Recipe.from_text(shard.recipe)
        counted = row_evaluations(recipe, recipe.steps) if recipe.steps else None
        return self.evaluations.get((_how(shard), shard.recipe_id), counted)

    def seconds_of(self, shard: Shard) -> float | None:
        """Return the seconds of an image, in all stages that the shard asks for."""
        sampling: float | None = 0.0
        if shard.needs_model:
            each, evaluations = self.per_evaluation.get(_how(shard)), self.evaluations_of(shard)
            other = each * evaluations if each is not None and evaluations is not None else None
            sampling = self.sampling.get((_how(shard), shard.recipe_id), other)
        scoring = self.scoring if shard.metrics else 0.0
        return None if sampling is None or scoring is None else sampling + scoring


def estimate(shards: Iterable[Shard], store: Store) -> Estimate:
    """Return what the work on shards would cost; the store may not be there yet.

    Shards are looked at one by one, so that there may be any number of them.

    Raises:
        InputError: a part of the store cannot be read.
    """
    rates = _rates(store.read("profiles", COLUMNS).to_pylist())
    images = scored = files = 0
    evaluations, seconds = Sum(), Sum()
    unmeasured: dict[str, None] = {}
    for shard in shards:
        count = len(shard.items)
        images += count * (shard.part is None)
        scored += count * bool(shard.metrics)
        files += _files(shard)
        if shard.needs_model:
            evaluations.add(rates.evaluations_of(shard), count)
        each = rates.seconds_of(shard)
        seconds.add(each, count)
        if each is None:
            unmeasured[shard.model] = None
    return Estimate(
        images=images,
        scored=scored,
        row_evaluations=None if evaluations.total is None else round(evaluations.total),
        worker_seconds=seconds.total,
        size_bytes=_bytes_of_pictures(store, images),
        files=files,
        unmeasured=tuple(unmeasured),
    )


def _rates(profiles: Sequence[Row]) -> Rates:
    rows = [row for row in profiles if row["images"]]
    sampled = _typical([row for row in rows if row["stage"] != "score"])
    networks = [row for row in sampled if row["stage"] == "network"]
    which = {(_how_told(row), row["recipe_id"]) for row in networks}
    own = {one: [r for r in sampled if (_how_told(r), r["recipe_id"]) == one] for one in which}
    ways = {how: [r for r in sampled if _how_told(r) == how] for how, _ in which}
    scores = _typical([row for row in rows if row["stage"] == "score"])
    return Rates(
        evaluations={one: _evaluations(found) / _images(found) for one, found in own.items()},
        sampling={one: _seconds(found) / _images(found) for one, found in own.items()},
        per_evaluation={
            how: _seconds(found) / evaluations
            for how, found in ways.items()
            if (evaluations := _evaluations(found))
        },
        scoring=_seconds(scores) / images
        if (images := sum(row["images"] for row in scores))
        else None,
    )


def _typical(rows: list[Row]) -> list[Row]:
    """Return rows without first and traced batches, which take longer, if there are others."""
    return [row for row in rows if row["warm"] and not row["traced"]] or rows


def _how(shard: Shard) -> How:
    return tuple(getattr(shard, name) for name in HOW)


def _how_told(row: Row) -> How:
    return tuple(row[name] for name in HOW)


def _evaluations(rows: Iterable[Row]) -> int:
    return sum(row["row_evaluations"] or 0 for row in rows)


def _seconds(rows: Iterable[Row]) -> float:
    return sum(row["seconds"] for row in rows)


def _images(rows: Iterable[Row]) -> int:
    """Return the images of rows of all stages, each counted once."""
    return sum(row["images"] for row in rows if row["stage"] == "network")


def _bytes_of_pictures(store: Store, images: int) -> int | None:
    if not images:
        return 0
    rows = store.count("samples")
    return round(sum(store.sizes("samples").values()) / rows * images) if rows else None


def _files(shard: Shard) -> int:
    """Return the parts that a shard writes: its samples, traces, profiles, and scores by metric."""
    sampled = [shard.part is None, shard.traces, shard.needs_model]
    return sum(sampled) + len(shard.metrics) + 1
