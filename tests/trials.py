"""A study made for tests: by Ray, or bare, by the same stages in this process alone."""

from collections.abc import Callable
from pathlib import Path

from bakeoff.platform.execution import Progress
from bakeoff.platform.rule import Rule
from bakeoff.platform.run import Result, Work, carry_out, prepare
from bakeoff.platform.sampling import SamplerStage, Workplace
from bakeoff.platform.scoring import ScorerStage
from bakeoff.platform.store import Store
from bakeoff.platform.study import Study

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
    sampler, scorer = SamplerStage(at), ScorerStage(at)
    made = failed = 0
    for shard in work.make_plan().shards(lambda entry, lack: batch_size):
        told = {"kind": "shard", "work": shard.to_json(), "part": shard.part or ""}
        done = scorer(sampler(told | {"made": 0, "failed": 0, "stopped": ""}))
        assert not done["stopped"], done["stopped"]
        made, failed = made + done["made"], failed + done["failed"]
    left = prepare(study, work.store, batch_size)
    if not left.is_due:
        carry_out(left, None, lambda progress: None)  # is noted only
    return Result(made, failed)


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
