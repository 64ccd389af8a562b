"""Shards on Ray Data: one row is one shard, each stage a pool of actors, small rows come back.

A row starts as a slip, on which the worker that comes to it asks the foreman for a shard.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

# Read when Ray is imported. Its C++ side would else tell of every restarted worker on the terminal,
# and workers would yield to whatever else runs, which makes latencies those of the machine's load.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# With several heaps in a worker, what its shards take would depend on their order: `Gauges`.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")

import ray
import ray.data
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bakeoff.platform.execution.foreman import Crew, Foreman
from bakeoff.platform.execution.plan import Count, Plan
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.execution.slips import Slips
from bakeoff.platform.execution.stages import Sampler, Scorer
from bakeoff.samplers.errors import InputError

Device = Literal["cpu", "cuda"]

# Shares of a GPU, or of a core without GPUs: both stages fit on as many as there are samplers.
SAMPLER_SHARE = 0.75
SCORER_SHARE = 0.25
SAMPLERS_PER_SCORER = 8
OBJECT_STORE_BYTES = 100_000_000  # only texts travel: pictures go through the store
SLIVER = 0.001  # of a custom resource, which marks nodes and is not used up


class ReferenceSet(NamedTuple):
    """A benchmark's real pictures, to be seen by a set metric."""

    benchmark: str
    metric: str


class Progress(NamedTuple):
    """What a finished shard adds up to."""

    images: int
    made: int
    failed: int


class RunStopped(RuntimeError):
    """The work cannot go on: a disk is full, or the cluster is gone. What is finished is stored."""


class Machine(NamedTuple):
    """The workers of a run, the kind of device they work on, and the mark of their nodes."""

    workers: int
    device: Device
    resource: str | None = None  # a custom resource that every node for this run has

    def request(self, share: float) -> dict[str, Any]:
        """Return what a worker asks Ray for, in its terms: a share of a GPU or of a core."""
        wanted: dict[str, Any] = {"num_cpus": share}
        if self.device == "cuda":
            # Ray Data would else take a core for each; a node may have no more of them than GPUs.
            wanted = {"num_cpus": 0, "num_gpus": share}
        return wanted | ({"resources": {self.resource: SLIVER}} if self.resource else {})


@contextmanager
def cluster(
    workers: int | None, device: Device | None = None, resource: str | None = None
) -> Iterator[Machine]:
    """Give the machine to run on: the cluster of RAY_ADDRESS, or Ray started here and stopped.

    Without a number there is one worker a GPU that is up, or without GPUs one a core. Nodes that an
    autoscaler starts when there is work for them cannot be counted: number and device tell it what
    to start.

    Raises:
        InputError: no node that is up suits, and nobody said how many workers to start nodes for.
    """
    own = not ray.is_initialized()
    if own:
        with _without_log_level_line():
            _start_ray(workers)
    try:
        here = own and not os.environ.get("RAY_ADDRESS")
        yield _machine(workers, device, resource, here=here)
    finally:
        if own:
            ray.shutdown()


def _machine(
    workers: int | None, device: Device | None, resource: str | None, *, here: bool
) -> Machine:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    suited = [node for node in nodes if resource is None or resource in node]
    gpus = int(sum(node.get("GPU", 0) for node in suited))
    cores = int(sum(node.get("CPU", 0) for node in suited))  # a head may schedule alone
    kind: Device = device or ("cuda" if gpus else "cpu")
    found = gpus if kind == "cuda" else cores
    if not found and (here or not (device and workers)):
        what = {"cuda": "GPU", "cpu": "core", None: "GPU and no core"}[device]
        marked = f" with resource {resource!r}" if resource else ""
        raise InputError(
            f"there is no {what}{marked} on this machine, and RAY_ADDRESS names no cluster"
            if here
            else f"no {what}{marked} is up in the cluster: give --device and --workers for nodes "
            "that start when there is work for them"
        )
    return Machine(workers or found, kind, resource)


def _start_ray(workers: int | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return
    ray.init(
        address="local",
        num_cpus=workers or os.cpu_count(),  # more workers than cores are the user's choice
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        **quiet,
    )


@contextmanager
def _without_log_level_line() -> Iterator[None]:
    """Hold back the standard error, C++ included, and give it all back but one line.

    Ray (2.60) tells that it obeys the log level above, whatever that level is.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            held.seek(0)
            kept = [line for line in held if b"RAY_BACKEND_LOG_LEVEL" not in line]
            os.write(terminal, b"".join(kept))
            os.close(terminal)


@dataclass(frozen=True)
class Job:
    """What a run is to do: a plan, made where it is followed, and what it comes to."""

    make_plan: Callable[[], Plan]
    count: Count
    references: Sequence[ReferenceSet]
    batch_size: int


def execute(job: Job, workplace: Workplace, machine: Machine) -> Iterator[Progress]:
    """Do all the work on the cluster that is up, and tell of each shard when it is done.

    Stages write their own parts: what is told here is already in the store. A worker that dies is
    started anew and its shard repeated, which overwrites the same parts.

    Raises:
        RunStopped: a worker cannot write, a part of the store is damaged, a later run has claimed
            the store, or Ray failed.
    """
    _quieten_ray_data()
    try:
        with _foreman(job, machine) as foreman:
            for row in _data(job, workplace, machine, foreman).iter_rows():
                if row["stopped"]:
                    raise RunStopped(row["stopped"])
                if row["slip"]:
                    foreman.done.remote(row["slip"])
                if row["kind"] != "nothing":
                    yield Progress(row["images"], row["made"], row["failed"])
    except ray.exceptions.RayError as error:
        raise RunStopped(f"Ray failed ({type(error).__name__}): {error}".splitlines()[0]) from error


@contextmanager
def _foreman(job: Job, machine: Machine) -> Iterator[ActorHandle]:
    """Start the foreman beside the driver, and dismiss it in the end."""
    node = ray.get_runtime_context().get_node_id()
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    hired = ray.remote(Foreman).options(num_cpus=0, scheduling_strategy=here)
    foreman: Any = hired.remote(job.make_plan, job.count, Crew(machine.workers, job.batch_size))
    try:
        yield foreman
    finally:
        ray.kill(foreman)


def _data(
    job: Job, workplace: Workplace, machine: Machine, foreman: ActorHandle
) -> ray.data.Dataset:
    first = [
        {"kind": "references", "work": one.benchmark, "part": one.metric} for one in job.references
    ]
    data = ray.data.read_datasource(Slips(foreman, first), override_num_blocks=1, num_cpus=0)
    if modelled := sum(job.count.by_model.values()):
        samplers = min(machine.workers, -(-modelled // job.batch_size))
        data = data.map(
            Sampler,
            fn_constructor_args=(workplace, foreman),
            # A slip that waits behind a shard would not be there for a worker that is free.
            compute=ray.data.ActorPoolStrategy(size=samplers, max_tasks_in_flight_per_actor=1),
            **machine.request(SAMPLER_SHARE),
        )
    scorers = -(-machine.workers // SAMPLERS_PER_SCORER)
    return data.map(
        Scorer,
        fn_constructor_args=(workplace, foreman),
        compute=ray.data.ActorPoolStrategy(size=scorers),
        **machine.request(SCORER_SHARE),
    )


def _quieten_ray_data() -> None:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # bytes: whatever a row takes, it travels alone
