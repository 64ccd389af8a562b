"""Simulated GPU workers: Ray believes in the GPUs, and the work on one is a sleep."""

import logging
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

# Read when Ray is imported, as the platform does.
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
from ray.cluster_utils import Cluster

from bakeoff.platform import execution
from bakeoff.platform.plan import Item, Shard

GPUS_PER_NODE = 16
MEMORY = 80_000_000  # bytes of a node's object store, the least that Ray takes


class Simulated(NamedTuple):
    """What simulated workers came to; seconds, and the share of them that all were at work."""

    until_all_busy: float
    efficiency: float


def stages(folder: Path, workers: int, sleep: float) -> tuple[type, type]:
    """Return a sampler that sleeps and notes when, and a scorer that lets rows pass.

    They are made here, so that they travel by value: by name, each worker would import torch.
    """
    notes = str(folder)

    class SamplerStage:
        def __init__(self, workplace: None) -> None:
            self.note = f"{notes}/{os.getpid()}"
            self.started = False

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            if not self.started:  # all start together, as on a cluster whose nodes are alike
                open(self.note, "w").close()
                while len(os.listdir(notes)) < workers:
                    time.sleep(0.05)
                self.started = True
            start = time.time()
            time.sleep(sleep)
            with open(self.note, "a") as file:
                file.write(f"{start} {time.time()}\n")
            return row

    class ScorerStage:
        def __init__(self, workplace: None) -> None:
            pass

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            return row

    return SamplerStage, ScorerStage


def simulate(workers: int, rounds: int, sleep: float, folder: Path) -> Simulated:
    """Run `rounds` shards for each worker through the platform's own execution."""
    nodes = Cluster(initialize_head=True, head_node_args=_node(num_cpus=0))
    kept = execution.SamplerStage, execution.ScorerStage
    try:
        for place in range(0, workers, GPUS_PER_NODE):
            gpus = min(GPUS_PER_NODE, workers - place)
            nodes.add_node(**_node(num_cpus=gpus, num_gpus=gpus))
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        execution.SamplerStage, execution.ScorerStage = stages(folder, workers, sleep)
        start = time.time()
        machine = execution.Machine(workers, "cuda")
        shards = [_shard(place) for place in range(workers * rounds)]
        for _ in execution.execute(shards, (), None, machine):
            pass
    finally:
        execution.SamplerStage, execution.ScorerStage = kept
        ray.shutdown()
        nodes.shutdown()
    return _read(folder, start)


def _node(**sizes: int) -> dict[str, Any]:
    return {**sizes, "object_store_memory": MEMORY, "include_dashboard": False}


def _shard(place: int) -> Shard:
    item = Item(f"{place:032}", "prompt", "a red circle", "task", place, None)
    return Shard("model", "location", "hash", "recipe", "recipe", "benchmark", (item,), ())


def _read(folder: Path, start: float) -> Simulated:
    """Return the share of the time, from all busy to the last shard, that workers slept."""
    notes = [
        [tuple(map(float, line.split())) for line in file.read_text().splitlines()]
        for file in folder.iterdir()
    ]
    all_busy = max(shards[0][0] for shards in notes)
    end = max(shards[-1][1] for shards in notes)
    slept = sum(stop - begin for shards in notes for begin, stop in shards)
    return Simulated(all_busy - start, slept / (len(notes) * (end - all_busy)))
