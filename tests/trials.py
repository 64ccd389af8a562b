"""A study made for tests: by Ray, or bare, by the same stages in this process alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path

import pytest

from bakeoff.platform.execution.execution import Job, Machine, Progress, RunStopped
from bakeoff.platform.execution.run import Result, Work, carry_out, prepare
from bakeoff.platform.execution.sampling import SamplerStage, Workplace
from bakeoff.platform.execution.scoring import ScorerStage
from bakeoff.platform.execution.slips import EMPTY
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.rule import Rule
from bakeoff.platform.studies.study import Study

Rows = dict[str, tuple[str, tuple[int, ...]]]


def run(
    study: Study,
    place: Path,
    *,
    batch_size: int = 4,
    workers: int = 1,
    report: Callable[[Progress], object] = lambda progress: None,
    rule: Rule | None = None,
    begin: Callable[[Work], object] = lambda step: None,
) -> Result:
    """Run a study on the cluster that is up."""
    work = prepare(study, Store(place), batch_size, rule=rule)
    return carry_out(work, workers, report, device="cpu", begin=begin)


def bare_run(study: Study, place: Path, *, batch_size: int = 4) -> Result:
    """Make what a study lacks without Ray, by a bare plan and stages."""
    work = prepare(study, Store(place), batch_size)
    work.store.create()
    at = Workplace(work.store.claimed("bare"), "bare", "cpu", batch_size=batch_size)
    job = Job(work.make_plan, work.count, (), batch_size)
    done = list(execute_here(job, at))
    left = prepare(study, work.store, batch_size)
    if not left.is_due:
        carry_out(left, None, lambda progress: None)  # is noted only
    return Result(sum(one.made for one in done), sum(one.failed for one in done))


def execute_here(
    job: Job, workplace: Workplace, machine: Machine | None = None
) -> Iterator[Progress]:
    """Do the work of a job as `execute` does, by the same stages, in this process."""
    sampler, scorer = SamplerStage(workplace), ScorerStage(workplace)
    first = [{"kind": "references", "work": one[0], "part": one[1]} for one in job.references]
    shards = job.make_plan().shards(lambda entry, lack: job.batch_size)
    rows = ({"kind": "shard", "work": one.to_json(), "part": one.part or ""} for one in shards)
    for row in chain(first, rows):
        done = scorer(sampler({**EMPTY, **row}))
        if done["stopped"]:
            raise RunStopped(done["stopped"])
        yield Progress(done["images"], done["made"], done["failed"])


@contextmanager
def without_ray() -> Iterator[None]:
    """Let runs do their work in this process: a cluster takes longer to start than small work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bakeoff.platform.execution.run.execute", execute_here)
        patch.setattr(
            "bakeoff.platform.execution.run.cluster", lambda *asked: nullcontext(Machine(1, "cpu"))
        )
        yield


def samples(place: Path) -> Rows:
    """Return pixel hash and tokens of every sample; a sample that lies there twice is an error."""
    rows = Store(place).read("samples", ["sample_id", "pixel_hash", "tokens"]).to_pylist()
    assert len({row["sample_id"] for row in rows}) == len(rows)
    return {row["sample_id"]: (row["pixel_hash"], tuple(row["tokens"])) for row in rows}


def scores(place: Path) -> dict[tuple[str, str], float]:
    """Return every score by sample and metric; one that lies there twice is an error."""
    rows = Store(place).read("scores", ["sample_id", "metric", "value"]).to_pylist()
    assert len({(row["sample_id"], row["metric"]) for row in rows}) == len(rows)
    return {(row["sample_id"], row["metric"]): row["value"] for row in rows}
