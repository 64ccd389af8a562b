"""What the platform takes beside the work: against a bare loop, and for planning."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bakeoff.platform.execution.plan import Plan, Shard
from bakeoff.platform.execution.profiling import MemoryGauge
from bakeoff.platform.execution.run import carry_out, prepare
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import MetricKey, Stored
from bakeoff.platform.studies.study import Study, read_study

WORKERS = 2
STUDY = """
name: efficiency
benchmark: {{name: shapes, split: all, limit: {limit}}}
metrics: [composition]
models:
  - model: tiny-meissonic
    recipes:
      vanilla:
      zigzag: {{like: vanilla, zigzag: masked}}
"""
PLANNED = """
name: planned
benchmark: {{name: shapes, split: all}}
seeds: {seeds}
metrics: [composition]
models: [{{model: tiny-meissonic, recipes: {{vanilla:}}}}]
"""


class Loop(NamedTuple):
    """A loop over all shards; what came before the first was done is not in `seconds`."""

    images: int
    seconds: float
    until_first: float = 0.0


class Cost(NamedTuple):
    """Processor seconds and the growth of the resident set to its peak."""

    samples: int
    seconds: float
    memory_bytes: int


def efficiency_study(prompts: int) -> Study:
    """Return two recipes on the first prompts of each task."""
    return read_study(STUDY.format(limit=-(-prompts // 6)), source="benchmark", folder=Path())


def platform_seconds(study: Study, batch_size: int, place: Path) -> Loop:
    """Run a study, and take the time from its first finished shard on for the other images.

    What both workers do before that is loading; what is left is scaled to all images.
    """
    start, done = time.perf_counter(), []
    work = prepare(study, Store(place), batch_size)
    carry_out(work, WORKERS, lambda one: done.append((time.perf_counter(), one.images)))
    images = sum(count for _, count in done)
    after = sum(count for _, count in done[1:])
    seconds = (done[-1][0] - done[0][0]) * images / after
    return Loop(images, seconds, done[0][0] - start)


def bare_seconds(study: Study, batch_size: int) -> Loop:
    """Make, encode and score the same shards in two processes without any platform."""
    work = prepare(study, Store(Path("/nonexistent")), batch_size)
    shards = [shard.to_json() for shard in work.make_plan().shards(lambda *_: batch_size)]
    context = multiprocessing.get_context("spawn")
    ready, times = context.Barrier(WORKERS), context.Queue()
    workers = [
        context.Process(target=_bare_loop, args=(shards[place::WORKERS], ready, times))
        for place in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    spans = [times.get() for _ in workers]
    for worker in workers:
        worker.join()
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    return Loop(work.images, seconds)


def _bare_loop(texts: Sequence[str], ready: Barrier, times: Queue) -> None:
    import torch

    from bakeoff.platform.store.pictures import decode_png, encode_png, pixel_hash
    from bakeoff.platform.studies.metrics import build_metric
    from bakeoff.samplers.catalog import load_sampler
    from bakeoff.samplers.recipe import Recipe

    torch.set_num_threads(1)
    shards = [Shard.from_json(text) for text in texts]
    sampler, metric = load_sampler(shards[0].location), build_metric("composition")

    def work(shard: Shard) -> None:
        items = shard.items
        prompts, seeds = [one.prompt for one in items], [one.noise_seed for one in items]
        made = sampler.generate(prompts, seeds, Recipe.from_text(shard.recipe))
        encoded = [(encode_png(pixels), pixel_hash(pixels)) for pixels in made.images]
        pictures = np.stack([decode_png(png) for png, _ in encoded])
        metric.score(pictures, prompts, [one.expectation for one in items])

    work(shards[0])  # warm-up
    ready.wait()
    start = time.perf_counter()
    for shard in shards:
        work(shard)
    times.put((start, time.perf_counter()))


def plan_cost(samples: int) -> Cost:
    """Plan that many samples, shard by shard as they go to workers, and keep none.

    In a process of its own, so that earlier work leaves no memory behind.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_plan_cost, (samples,))


def _plan_cost(samples: int) -> Cost:
    prompts = len(_planned(1).prompts)
    study = _planned(-(-samples // prompts))
    gauge, start = MemoryGauge("cpu"), time.process_time()
    plan = Plan(study, {"tiny-meissonic": "0" * 64}, (MetricKey("composition", "1"),), Stored())
    planned = sum(len(shard.items) for shard in plan.shards(lambda *_: 64) if shard.to_json())
    return Cost(planned, time.process_time() - start, gauge.peak_bytes())


def _planned(seeds: int) -> Study:
    text = PLANNED.format(seeds=list(range(seeds)))
    return read_study(text, source="benchmark", folder=Path())
