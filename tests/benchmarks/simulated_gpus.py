"""Simulated GPU workers: Ray believes in the GPUs, and the work on one is a sleep."""

import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Read when Ray is imported, as the platform does.
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
from ray.cluster_utils import Cluster

from bakeoff.platform.execution import execution
from bakeoff.platform.execution.foreman import Asking
from bakeoff.platform.execution.plan import Plan
from bakeoff.platform.store.stored import Stored
from bakeoff.platform.studies.benchmarks import Prompt
from bakeoff.platform.studies.study import Entry, Model, Study
from bakeoff.samplers.recipe import Recipe

GPUS_PER_NODE = 16
MEMORY = 80_000_000  # bytes of a node's object store, the least that Ray takes


class Simulated(NamedTuple):
    """What simulated workers came to; seconds, and the share of them that all were at work."""

    until_all_busy: float
    efficiency: float
    models: list[list[str]]  # of the shards of each worker


def stages(folder: Path, workers: int, sleep: float) -> tuple[type, type]:
    """Return a sampler that sleeps through its shards and notes when, and a scorer that rests.

    They are made here, so that they travel by value: by name, each worker would import torch.
    """
    notes = str(folder)

    class Sampler:
        def __init__(self, workplace: None, foreman: ray.actor.ActorHandle) -> None:
            self.note = f"{notes}/{os.getpid()}"
            self.started = False
            self.foreman, self.asking = foreman, Asking(str(os.getpid()), "simulated")

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            work = ray.get(self.foreman.take.remote(row["slip"], self.asking))
            if work is None:
                return row
            self.asking = self.asking._replace(model=json.loads(work)["model"])
            if not self.started:  # all start together, as on a cluster whose nodes are alike
                open(self.note, "w").close()
                while len(os.listdir(notes)) < workers:
                    time.sleep(0.05)
                self.started = True
            start = time.time()
            time.sleep(sleep)
            with open(self.note, "a") as file:
                file.write(f"{start} {time.time()} {self.asking.model}\n")
            return row

    class Scorer:
        def __init__(self, workplace: None, foreman: ray.actor.ActorHandle) -> None:
            pass

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            return row

    return Sampler, Scorer


def simulate(
    workers: int, rounds: int, sleep: float, folder: Path, models: Sequence[str] = ("model",)
) -> Simulated:
    """Run `rounds` shards for each worker, as many of each model, through our own execution."""
    nodes = Cluster(initialize_head=True, head_node_args=_node(num_cpus=0))
    kept = execution.Sampler, execution.Scorer
    try:
        for place in range(0, workers, GPUS_PER_NODE):
            gpus = min(GPUS_PER_NODE, workers - place)
            nodes.add_node(**_node(num_cpus=gpus, num_gpus=gpus))
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        execution.Sampler, execution.Scorer = stages(folder, workers, sleep)
        start = time.time()
        machine = execution.Machine(workers, "cuda")
        plan = _plan(workers * rounds // len(models), models)
        job = execution.Job(lambda: plan, plan.count(), (), batch_size=1)
        for _ in execution.execute(job, None, machine):
            pass
    finally:
        execution.Sampler, execution.Scorer = kept
        ray.shutdown()
        nodes.shutdown()
    return _read(folder, start)


def _node(**sizes: int) -> dict[str, Any]:
    return {**sizes, "object_store_memory": MEMORY, "include_dashboard": False}


def _plan(shards: int, models: Sequence[str]) -> Plan:
    """Return a plan of so many samples of each model, each a shard."""
    seeds, prompts = tuple(range(shards)), (Prompt("prompt", "a red circle", "task"),)
    entries = tuple(Entry(m, Model(m, "location", "family"), Recipe(), seeds) for m in models)
    study = Study("simulated", "", "benchmark", prompts, entries, ())
    return Plan(study, dict.fromkeys(models, "hash"), (), Stored())


def _read(folder: Path, start: float) -> Simulated:
    """Return the share of the time, from all busy to the last shard, that workers slept."""
    notes = [[line.split() for line in file.read_text().splitlines()] for file in folder.iterdir()]
    all_busy = max(float(shards[0][0]) for shards in notes)
    end = max(float(shards[-1][1]) for shards in notes)
    slept = sum(float(stop) - float(begin) for shards in notes for begin, stop, _ in shards)
    efficiency = slept / (len(notes) * (end - all_busy))
    models = [[model for _, _, model in shards] for shards in notes]
    return Simulated(all_busy - start, efficiency, models)
