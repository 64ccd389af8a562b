"""A store of millions of made-up scores: what resuming and querying it costs, beside pandas."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.platform.conclusions.comparisons import meetings
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.execution.plan import Item, Plan
from bakeoff.platform.execution.profiling import MemoryGauge
from bakeoff.platform.execution.run import carry_out, prepare
from bakeoff.platform.execution.status import status
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.store.pictures import encode_png
from bakeoff.platform.store.schemas import IMAGE, PROFILES, SAMPLES, SCORES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import Stored
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.study import Entry, Study, read_study
from bakeoff.samplers.catalog import weights_hash
from tests.benchmarks.overhead import Cost

if TYPE_CHECKING:
    import pandas as pd  # only what Bakeoff is held against: no dependency of ours

METRICS = ("composition", "clip_score")
ENTRIES = 24
PROMPTS = 240
PICTURES_A_PART = 1000
STAGES = ("text", "network", "draw", "decode", "encode", "write", "score")
BASELINE = "tiny-meissonic/vanilla"
SAMPLE_COLUMNS = ("sample_id", "recipe_id", "prompt_id", "seed")
STUDY = """
name: large
benchmark: {{name: shapes, split: all}}
seeds: {seeds}
metrics: [{metrics}]
baseline: {baseline}
models:
  - model: tiny-meissonic
    recipes: {{vanilla: steps=1}}
    grid: {{like: vanilla, steps: {steps}}}
"""
Columns = dict[str, pa.Array | str | int]  # of a part; a value alone stands in all rows
Wins = dict[tuple[str, str], float]  # by metric and entry, ties counted half


class LargeStore(NamedTuple):
    """Where it lies and how much it holds."""

    path: Path
    study: Study
    scores: int
    bytes: int


def write_large_store(place: Path, rows: int, pictures: int = 0) -> LargeStore:
    """Write a store that lacks nothing of a study of at least `rows` scores.

    At least `pictures` samples, those of the first seeds, have a picture; the others have none.
    """
    pictured_seeds = -(-pictures // (ENTRIES * PROMPTS))
    seeds = -(-rows // (len(METRICS) * ENTRIES * PROMPTS))
    text = STUDY.format(
        seeds=list(range(seeds)),
        metrics=", ".join(METRICS),
        baseline=BASELINE,
        steps=list(range(2, ENTRIES + 1)),
    )
    study = read_study(text, source="benchmark", folder=Path())
    Store(place).create()
    weights = weights_hash(study.entries[0].model.location)
    numbers = np.random.default_rng(0)
    for number, entry in enumerate(study.entries):
        _write_entry(place, study, entry, weights, number, numbers, pictured_seeds)
    carry_out(prepare(study, Store(place), 64), 1, print)  # nothing to do: notes the study
    files = [file for file in place.rglob("*") if file.is_file()]
    scores = len(study.entries) * PROMPTS * seeds * len(METRICS)
    return LargeStore(place, study, scores, sum(file.stat().st_size for file in files))


def _write_entry(
    place: Path,
    study: Study,
    entry: Entry,
    weights: str,
    number: int,
    numbers: np.random.Generator,
    pictured_seeds: int,
) -> None:
    wanted = Plan(study, {entry.model.name: weights}, (), Stored()).wanted(entry)
    items = list(wanted.items(range(len(wanted))))
    ids = pa.array([item.sample_id for item in items])
    plain = [item for item in items if item.seed >= pictured_seeds]
    pictured = [item for item in items if item.seed < pictured_seeds]
    head = {
        "model": entry.model.name,
        "weights_hash": weights,
        "recipe": str(entry.recipe),
        "recipe_id": entry.recipe.recipe_id,
        "benchmark": study.benchmark,
        "row_evaluations": 2 * (number + 1),
    }
    _write_samples(place, head, f"shard-{number}", plain)
    for first in range(0, len(pictured), PICTURES_A_PART):
        shard = f"shard-{number}-pictured-{first}"
        _write_samples(place, head, shard, pictured[first : first + PICTURES_A_PART], numbers)
    for name in METRICS:
        scores = {
            "sample_id": ids,
            "metric": name,
            "metric_version": build_metric(name).info.version,
            "value": pa.array(np.round(numbers.normal(number / 100, 1, len(items)), 2)),
            "shard_id": f"shard-{number}",
        }
        file = place / f"scores/metric={name}/part-{number}.parquet"
        _write(file, SCORES, scores, len(items))


def _write_samples(
    place: Path,
    head: Columns,
    shard: str,
    items: list[Item],
    numbers: np.random.Generator | None = None,
) -> None:
    """Write a part of samples, with pictures where there are numbers to draw them from."""
    samples = head | {
        "sample_id": pa.array([item.sample_id for item in items]),
        "task": pa.array([item.task for item in items]),
        "prompt_id": pa.array([item.prompt_id for item in items]),
        "prompt": pa.array([item.prompt for item in items]),
        "seed": pa.array([item.seed for item in items]),
        "shard_id": shard,
    }
    if numbers is not None:
        drawn = [encode_png(one) for one in numbers.integers(0, 255, (8, 64, 64, 3), np.uint8)]
        contents = [{"bytes": drawn[n % 8], "path": None} for n in range(len(items))]
        samples["image"] = pa.array(contents, IMAGE)
        profiled = {name: head[name] for name in ("model", "recipe_id")}
        _write_profiles(place, profiled, shard, numbers)
    _write(place / f"samples/part-{shard}.parquet", SAMPLES, samples, len(items))


def _write_profiles(place: Path, head: Columns, shard: str, numbers: np.random.Generator) -> None:
    seconds = numbers.uniform(0.1, 2.0, len(STAGES))
    columns = head | {
        "shard_id": shard,
        "stage": pa.array(STAGES),
        "seconds": pa.array(seconds),
        "images": 64,
        "peak_memory_bytes": 200_000_000,
        "device": "cpu",
        "dtype": "float32",
        "batch_size": 64,
        "warm": True,
        "traced": False,
    }
    _write(place / f"profiles/part-{shard}.parquet", PROFILES, columns, len(STAGES))


def _write(file: Path, schema: pa.Schema, columns: Columns, rows: int) -> None:
    """Write a part of given columns; others are null."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = []
    for field in schema:
        given = columns.get(field.name)
        if given is None:
            arrays.append(pa.nulls(rows, field.type))
        elif isinstance(given, str | int):
            arrays.append(pa.repeat(pa.scalar(given, field.type), rows))
        else:
            arrays.append(given.cast(field.type))
    # No dictionary of pictures: real ones do not repeat.
    names = [name for name in schema.names if name != "image"]
    table = pa.table(arrays, schema=schema)
    pq.write_table(table, file, compression="zstd", use_dictionary=names)


def resume(large: LargeStore) -> Cost:
    """Run the study again: nothing is left to do."""
    return _alone(_resume, large)


def show_leaderboard(large: LargeStore) -> Cost:
    """Read the standings of the study, from a closed store on."""
    return _alone(_show_leaderboard, large)


def show_status(large: LargeStore) -> Cost:
    """Read how far the study has come, from a closed store on."""
    return _alone(_show_status, large)


def _alone(read: Callable[[LargeStore], None], large: LargeStore) -> Cost:
    """Measure in a process of its own, so that earlier work leaves no memory behind."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (read, large))


def _measured(read: Callable[[LargeStore], None], large: LargeStore) -> Cost:
    gauge, start = MemoryGauge("cpu"), time.perf_counter()
    read(large)
    return Cost(large.scores, time.perf_counter() - start, gauge.peak_bytes())


def _resume(large: LargeStore) -> None:
    result = carry_out(prepare(large.study, Store.open(large.path), 64), 1, print)
    assert result.made == 0


def _show_leaderboard(large: LargeStore) -> None:
    board = leaderboard(open_views(large.path))
    assert sum(len(standing.scores) for standing in board.standings) == ENTRIES * len(METRICS)


def _show_status(large: LargeStore) -> None:
    (found,) = status(Store.open(large.path))
    assert found.state == "done"


def win_counts(large: LargeStore) -> tuple[float, Wins]:
    """Return seconds, from a closed store on, and the wins of every entry over the baseline."""
    start = time.perf_counter()
    views = open_views(large.path)
    wins = {
        (name, met.entry): float(met.win_values @ met.pairs.counts)
        for name in METRICS
        for met in meetings(views, large.study.name, name, opponent=BASELINE)
    }
    return time.perf_counter() - start, wins


def pandas_win_counts(large: LargeStore) -> tuple[float, Wins]:
    """Return the same from the same parts by pandas: read, join, pair and count all at once."""
    import pandas as pd

    start = time.perf_counter()
    samples = pd.read_parquet(large.path / "samples", columns=list(SAMPLE_COLUMNS))
    columns = ["sample_id", "metric", "value"]
    scores = pd.read_parquet(large.path / "scores", columns=columns, partitioning=None)
    samples["entry"] = samples.pop("recipe_id").map(_entry_names(large))
    counted = _counted(scores.merge(samples, on="sample_id"), ["metric"])
    wins = {(name, entry): float(value) for (name, entry), value in counted.items()}
    return time.perf_counter() - start, wins


def tuned_pandas_win_counts(large: LargeStore) -> tuple[float, Wins]:
    """Return the same by pandas with some thought: a metric at a time, names as categories."""
    import pandas as pd

    start = time.perf_counter()
    samples = pd.read_parquet(large.path / "samples", columns=list(SAMPLE_COLUMNS))
    samples["entry"] = samples.pop("recipe_id").map(_entry_names(large)).astype("category")
    samples["prompt_id"] = samples["prompt_id"].astype("category")
    wins = {}
    for name in METRICS:
        part = large.path / f"scores/metric={name}"
        scores = pd.read_parquet(part, columns=["sample_id", "value"])
        counted = _counted(scores.merge(samples, on="sample_id"), [])
        wins |= {(name, entry): float(value) for entry, value in counted.items()}
    return time.perf_counter() - start, wins


def _entry_names(large: LargeStore) -> dict[str, str]:
    return {entry.recipe.recipe_id: entry.name for entry in large.study.entries}


def _counted(scored: "pd.DataFrame", metric: list[str]) -> "pd.Series":
    """Return wins by entry, and by metric if there are several, ties counted half."""
    unit = [*metric, "prompt_id", "seed"]
    is_opponent = scored["entry"] == BASELINE
    opponents = scored.loc[is_opponent, [*unit, "value"]]
    pairs = scored[~is_opponent].merge(opponents, on=unit, suffixes=("", "_of_it"))
    won = (pairs["value"] > pairs["value_of_it"]) + 0.5 * (pairs["value"] == pairs["value_of_it"])
    return won.groupby([pairs[name] for name in (*metric, "entry")], observed=True).sum()
