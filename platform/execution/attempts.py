"""Tries that outlive the process which made them: a note in the store for each shard at work.

An exception is caught where it is raised. A crash in native code, the system's out-of-memory killer
and the watchdog take the process along; Ray starts another one and gives it the shard again. It
finds the note and goes on as after an exception: what was at work is refused as a whole, and so
halved, down to each item alone, which fails after `TRIES` deaths. As many at reading or writing a
shard stop the run, as storage that stays down does: no item is to blame. A node that went away
with its worker, such as one that was preempted, blames nobody, and neither does the death of a
whole run.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pydantic import BaseModel

from bakeoff.platform.execution.isolation import TRIES
from bakeoff.platform.execution.watchdog import Watchdog
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.store import Store

FOLDER = "attempts"  # of a store
# Stages that take as long for one model as for another.
READ = "read"
WRITE = "write"


class WorkerDied(RuntimeError):
    """Work that has ended workers before, and is not begun once more."""


class Attempt(BaseModel):
    """Work that a worker has begun; with `hung_seconds` its watchdog ended it after so many."""

    worker: str
    node: str  # Ray's id of it
    stage: str
    work: list[str]  # the sample_id of each item
    hung_seconds: float | None = None

    def __str__(self) -> str:
        hung = self.hung_seconds
        return f"{self.worker} {'died' if hung is None else f'hung for {hung:.0f} seconds'}"


class Note(BaseModel):
    """What a run is at, or was when its worker died, and what workers died of before."""

    run_id: str
    at_work: Attempt
    deaths: list[Attempt]


class Attempts:
    """The tries of one shard, those included that earlier workers of the run died of."""

    def __init__(
        self, log: WorkerLog, watchdog: Watchdog, shard_id: str, kind: Hashable = None
    ) -> None:
        self.log, self.shard_id = log, shard_id
        self._watchdog, self._kind = watchdog, kind
        self._file = log.store.path / FOLDER / f"{shard_id}-{log.stage}.json"
        self._node = _this_node()
        self.deaths = self._read()

    @contextmanager
    def attempt(self, stage: str, work: Sequence[str], *, whole: bool = False) -> Iterator[None]:
        """Try the block, which is work on samples: noted before it begins, and watched.

        What is only done as a `whole`, such as loading a model, is tried as often as an item alone.

        Raises:
            WorkerDied: the work has ended too many workers.
        """
        deaths = [one for one in self.deaths if one.stage == stage and set(one.work) <= set(work)]
        if len(deaths) >= (TRIES if whole or len(work) == 1 else 1):
            told = ", ".join(map(str, deaths))
            raise WorkerDied(f"workers ended at {stage} of shard {self.shard_id}: {told}")
        now = Attempt(worker=self.log.worker, node=self._node, stage=stage, work=list(work))
        note = Note(run_id=self.log.run_id, at_work=now, deaths=self.deaths)
        self._write(note)

        def tell(seconds: float) -> None:
            now.hung_seconds = seconds
            self._write(note)
            self.log.hang(seconds)

        # Who starts anew has measured nothing, and less of the same work takes no longer.
        known = [one.hung_seconds for one in self.deaths if one.stage == stage]
        at_most = min((seconds for seconds in known if seconds is not None), default=None)
        kind = stage if stage in (READ, WRITE) else (stage, self._kind)
        with self._watchdog.watch(kind, len(work), tell, at_most):
            yield

    def end(self) -> None:
        """Forget the tries: the work is done, or has failed."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _read(self) -> list[Attempt]:
        """Return what workers of this run died of."""
        try:
            note = Note.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none, half of one, or not ours
            return []
        if note.run_id != self.log.run_id:
            return []
        last = note.at_work
        if last.worker == self.log.worker:
            return note.deaths
        self.log.bury(last.worker)
        return note.deaths if _is_gone(last.node) else [*note.deaths, last]

    def _write(self, note: Note) -> None:
        with suppress(OSError):  # a note that fails is one that is missing, and no item's fault
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(note.model_dump_json() + "\n", encoding="utf-8")


def forget(store: Store) -> None:
    """Remove the notes of earlier runs."""
    folder = store.path / FOLDER
    for file in folder.iterdir() if folder.is_dir() else ():
        file.unlink(missing_ok=True)


# Imported here: Ray reads its settings when it is imported, and `execution` makes them.
def _this_node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def _is_gone(node: str) -> bool:
    """Whether a node is known to have left the cluster."""
    import ray

    nodes = ray.nodes() if ray.is_initialized() else []
    return any(one["NodeID"] == node and not one["Alive"] for one in nodes)
