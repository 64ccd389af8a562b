"""Where a study stands, by its store alone: from any machine that reads it, at any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bakeoff.platform.execution.progress import Run, Standing, newest_runs, standing
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import read_stored

SILENCE = timedelta(minutes=5)  # before a worker counts as gone: its first shard loads a model,
SILENCES = 3  # and it may take so many times as long as its longest
# running: a worker told something lately; stopped: none did, and work is left
State = Literal["done", "running", "stopped", "failed"]
Row = dict[str, Any]


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker of a run told last, or others of its end; `images` are those it finished."""

    worker: str
    stage: str
    device: str
    images: int
    failed: int
    at_work: int
    shard_id: str | None
    images_per_second: float | None
    silent_seconds: float
    is_alive: bool
    ended: str | None


@dataclass(frozen=True)
class Status:
    """A study's newest run: samples planned, made, scored by every metric, at work and failed.

    `images_per_second` is that of the whole run since it began, `seconds_left` follows from it.
    """

    study: str
    run_id: str
    state: State
    planned: int
    made: int
    scored: int
    running: int
    failed: int
    images_per_second: float | None
    seconds_left: float | None
    workers: tuple[WorkerStatus, ...]


def status(store: Store, now: datetime | None = None) -> list[Status]:
    """Return where each study of a store stands, the one run last first.

    Raises:
        InputError: a part of the store cannot be read.
    """
    at = now or datetime.now(UTC)
    stored = read_stored(store, traces=False, tries=1)
    workers = store.read("workers", TABLES["workers"].names).to_pylist()
    found = []
    for run in newest_runs(store):
        own = [row for row in workers if row["run_id"] == run["run_id"]]
        found.append(_status(run, standing(run, stored), own, at))
    return found


def _status(run: Run, far: Standing, rows: Sequence[Row], now: datetime) -> Status:
    workers = tuple(
        sorted((_worker(row, now) for row in rows), key=lambda one: (one.worker, one.stage))
    )
    left = far.planned - far.scored - far.failed
    speed = _speed(run, rows)
    state: State = "stopped"
    if not left:
        state = "failed" if far.failed else "done"
    elif any(worker.is_alive for worker in workers):
        state = "running"
    return Status(
        study=run["study_name"],
        run_id=run["run_id"],
        state=state,
        planned=far.planned,
        made=far.made,
        scored=far.scored,
        running=sum(worker.at_work for worker in workers if worker.is_alive),
        failed=far.failed,
        images_per_second=speed,
        seconds_left=left / speed if speed and state == "running" else None,
        workers=workers,
    )


def _worker(row: Row, now: datetime) -> WorkerStatus:
    silent = now - row["seen"]
    patience = max(SILENCE, timedelta(seconds=SILENCES * row["longest_seconds"]))
    return WorkerStatus(
        worker=row["worker"],
        stage=row["stage"],
        device=row["device"],
        images=row["images"],
        failed=row["failed"],
        at_work=row["at_work"],
        shard_id=row["shard_id"],
        images_per_second=row["images"] / row["busy_seconds"] if row["busy_seconds"] else None,
        silent_seconds=silent.total_seconds(),
        is_alive=row["ended"] is None and silent < patience,
        ended=row["ended"],
    )


def _speed(run: Run, rows: Sequence[Row]) -> float | None:
    """Return images a second of the stage that finished fewer, since the run began."""
    if not rows:
        return None
    seconds = (max(row["seen"] for row in rows) - run["started"]).total_seconds()
    stages = {row["stage"] for row in rows}
    images = min(sum(row["images"] for row in rows if row["stage"] == stage) for stage in stages)
    return images / seconds if images and seconds > 0 else None
