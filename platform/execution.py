"""Shards on Ray Data: one row is one shard, each stage a pool of actors, small rows come back."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

# Read when Ray is imported. Its C++ side would else tell of every restarted worker on the terminal,
# and workers would yield to whatever else runs, which makes latencies those of the machine's load.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
import ray.data

from bakeoff.platform.plan import Shard
from bakeoff.platform.sampling import SamplerStage, Workplace
from bakeoff.platform.scoring import ScorerStage

# Shares of a GPU, or of a core without GPUs: both stages fit on as many as there are samplers.
SAMPLER_SHARE = 0.75
SCORER_SHARE = 0.25
SAMPLERS_PER_SCORER = 8
OBJECT_STORE_BYTES = 100_000_000  # only texts travel: pictures go through the store


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
    """The workers of a run and the kind of device they work on."""

    workers: int
    device: str  # cpu or cuda


@contextmanager
def cluster(workers: int | None) -> Iterator[Machine]:
    """Give the machine to run on: the cluster of RAY_ADDRESS, or Ray started here and stopped.

    Without a number there is one worker a GPU, or without GPUs one a core.
    """
    own = not ray.is_initialized()
    if own:
        with _without_log_level_line():
            _start_ray(workers)
    try:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        cores = int(resources.get("CPU", 0))  # a head may be there to schedule alone
        yield Machine(workers or gpus or cores or 1, "cuda" if gpus else "cpu")
    finally:
        if own:
            ray.shutdown()


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


def execute(
    shards: Sequence[Shard],
    references: Sequence[ReferenceSet],
    workplace: Workplace,
    workers: int,
) -> Iterator[Progress]:
    """Do all the work on the cluster that is up, and tell of each shard when it is done.

    Stages write their own parts: what is told here is already in the store. A worker that dies is
    started anew and its shard repeated, which overwrites the same parts.

    Raises:
        RunStopped: a worker cannot write, a later run has claimed the store, or Ray failed.
    """
    _quieten_ray_data()
    rows = [_row("shard", shard.to_json(), shard.part or "") for shard in shards]
    rows += [_row("references", one.benchmark, one.metric) for one in references]
    data: ray.data.Dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    unit = "num_cpus" if workplace.device == "cpu" else "num_gpus"

    def share(of_one: float) -> dict[str, Any]:
        return {unit: of_one}

    if sampling := sum(shard.needs_model for shard in shards):
        data = data.map(
            SamplerStage,  # type: ignore[arg-type] # Ray's types know functions only
            fn_constructor_args=(workplace,),
            compute=ray.data.ActorPoolStrategy(size=min(workers, sampling)),
            **share(SAMPLER_SHARE),
        )
    scorers = -(-workers // SAMPLERS_PER_SCORER)
    data = data.map(
        ScorerStage,  # type: ignore[arg-type]
        fn_constructor_args=(workplace,),
        compute=ray.data.ActorPoolStrategy(size=scorers),
        **share(SCORER_SHARE),
    )
    try:
        for row in data.iter_rows():
            if row["stopped"]:
                raise RunStopped(row["stopped"])
            yield Progress(row["images"], row["made"], row["failed"])
    except ray.exceptions.RayError as error:
        raise RunStopped(f"Ray failed ({type(error).__name__}): {error}".splitlines()[0]) from error


def _row(kind: str, work: str, part: str = "") -> dict[str, Any]:
    images = len(Shard.from_json(work).items) if kind == "shard" else 0
    return {
        "kind": kind, "work": work, "part": part,
        "images": images, "made": 0, "failed": 0, "stopped": "",
    }  # fmt: skip


def _quieten_ray_data() -> None:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
