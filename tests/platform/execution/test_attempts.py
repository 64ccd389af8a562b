"""What ends its worker is tried again alone, and given up in the end; the rest is made."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bakeoff.platform.execution.attempts import FOLDER, Attempt, Attempts, Note, WorkerDied, forget
from bakeoff.platform.execution.isolation import TRIES, isolate
from bakeoff.platform.execution.plan import Item, Shard
from bakeoff.platform.execution.run import prepare
from bakeoff.platform.execution.sampling import SamplerStage, Workplace
from bakeoff.platform.execution.scoring import ScorerStage
from bakeoff.platform.execution.slips import EMPTY
from bakeoff.platform.execution.watchdog import PATIENCE, Patience, Watchdog
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import verify
from bakeoff.platform.studies.study import Study
from tests.forked import end_of

ITEMS = [Item(f"id{n}", f"p{n}", f"prompt {n}", "task", 7, None) for n in range(4)]
IDS = [item.sample_id for item in ITEMS]
Work = Callable[[Sequence[str]], object]
Row = dict[str, Any]
TWO = """
name: two
prompts: [a photo of a ring, a photo of a heart]
metrics: [clip_score]
models:
  - path: masked
    recipes: {vanilla: steps=2}
"""


class Outcome(NamedTuple):
    """What the last of some workers came to, and how many died before it."""

    done: list[str]
    failed: dict[str, str]  # the error by sample_id
    deaths: int


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.create()
    return store


def die(ids: Sequence[str]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(ids: Sequence[str]) -> None:
    time.sleep(1e6)


def poisoned(*poison: str, by: Work = die) -> Work:
    """Return work that takes its process along if one of these samples is among those at work."""
    return lambda ids: by(ids) if set(poison) & set(ids) else None


def tries(store: Store, run_id: str = "run", first: float = 60.0) -> Attempts:
    log = WorkerLog(store, run_id, "sample", "cpu")
    log.begin("shard", len(ITEMS))
    return Attempts(log, Watchdog(Patience(first=first)), "shard")


def repeat(store: Store, work: Work, first: float = 60.0) -> Outcome:
    """Give a shard of samples to workers until one lives to its end."""

    def worker() -> None:
        attempts = tries(store, first=first)

        def attempt(items: Sequence[Item]) -> None:
            with attempts.attempt("generate", [item.sample_id for item in items]):
                work([item.sample_id for item in items])

        outcome = isolate(ITEMS, attempt)
        attempts.end()
        attempts.log.end(failed=len(outcome.failed))
        done = [item.sample_id for items, _ in outcome.done for item in items]
        failed = {one.item.sample_id: f"{one.attempt} {one.error!r}" for one in outcome.failed}
        (store.path.parent / "outcome").write_text(json.dumps([done, failed]))

    deaths = deaths_before_the_end(worker)
    return Outcome(*json.loads((store.path.parent / "outcome").read_text()), deaths)


def deaths_before_the_end(worker: Callable[[], object]) -> int:
    """Start one worker after the other, as Ray does, until one lives to its end."""
    for deaths in range(30):
        if end_of(worker) == 0:
            return deaths
    pytest.fail("the shard is repeated without end")


def test_a_shard_that_kills_nobody_leaves_no_note(store: Store) -> None:
    assert repeat(store, poisoned()) == Outcome(IDS, {}, 0)
    assert list((store.path / FOLDER).iterdir()) == []


def test_a_sample_that_kills_its_worker_fails_alone_and_the_next_worker_tells(
    store: Store,
) -> None:
    outcome = repeat(store, poisoned("id2"))
    assert outcome.done == ["id0", "id1", "id3"]
    assert outcome.deaths == 2 + TRIES  # with four and two at work, and then alone
    (error,) = outcome.failed.values()
    assert error.startswith(f"{TRIES} WorkerDied('workers ended at generate of shard shard: ")
    assert error.count(" died") == TRIES
    assert list((store.path / FOLDER).iterdir()) == []
    rows = store.read("workers", ["shard_id", "ended"]).to_pylist()
    ended = [(row["shard_id"], row["ended"]) for row in rows]
    assert sorted(ended, key=str) == [("shard", "died")] * outcome.deaths + [(None, None)]


def test_several_are_found(store: Store) -> None:
    outcome = repeat(store, poisoned("id0", "id3"))
    assert (outcome.done, list(outcome.failed)) == (["id1", "id2"], ["id0", "id3"])


def test_a_batch_that_kills_its_worker_is_made_in_halves(store: Store) -> None:
    """As on a machine whose memory is short."""
    outcome = repeat(store, lambda ids: die(ids) if len(ids) > 1 else None)
    assert outcome == Outcome(IDS, {}, 3)


def test_a_sample_that_hangs_fails_alone_and_its_workers_are_named(store: Store) -> None:
    outcome = repeat(store, poisoned("id3", by=hang), first=0.3)
    assert list(outcome.failed) == ["id3"]
    assert outcome.failed["id3"].count(" hung for 0 seconds") == TRIES
    rows = store.read("workers", ["worker", "shard_id", "at_work", "ended"]).to_pylist()
    hung = [row for row in rows if row["ended"]]
    assert len(hung) == outcome.deaths == 2 + TRIES
    told = {(row["shard_id"], row["at_work"], row["ended"]) for row in hung}
    assert told == {("shard", 4, "hung for 0 seconds")}
    assert sum(row["worker"] in outcome.failed["id3"] for row in hung) == TRIES


def left_by(store: Store, *works: Sequence[str]) -> Path:
    """Leave the note of a worker that died at work on samples, as others did before it."""
    deaths = [Attempt(worker="another:1", node="", stage="generate", work=work) for work in works]
    note = Note(run_id="run", at_work=deaths[-1], deaths=deaths[:-1])
    file = store.path / FOLDER / "shard-sample.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(note.model_dump_json())
    return file


def is_refused(attempts: Attempts, ids: Sequence[str], **options: bool) -> bool:
    try:
        with attempts.attempt("generate", ids, **options):
            return False
    except WorkerDied:
        return True


def test_what_is_done_as_a_whole_is_tried_as_often_as_a_sample_alone(store: Store) -> None:
    for deaths in range(1, TRIES + 1):
        left_by(store, *[IDS] * deaths)
        assert is_refused(tries(store), IDS, whole=True) == (deaths == TRIES)


def test_only_what_holds_all_that_was_at_work_is_refused(store: Store) -> None:
    left_by(store, ["id1", "id2"])
    attempts = tries(store)
    assert is_refused(attempts, IDS) and is_refused(attempts, ["id1", "id2"])
    assert not is_refused(attempts, ["id0", "id1"]) and not is_refused(attempts, ["id2"])
    with attempts.attempt("load", IDS):
        pass


def test_an_earlier_run_and_this_worker_itself_blame_nobody(store: Store) -> None:
    left_by(store, IDS)
    assert len(tries(store).deaths) == 1
    assert tries(store, "another run").deaths == []
    assert not is_refused(tries(store, "another run"), IDS)
    assert tries(store, "another run").deaths == []
    left_by(store, IDS)
    forget(store)
    assert tries(store).deaths == []


@pytest.mark.parametrize("text", ["", '{"run_id": "run"', "[]", '{"run_id": 1}', "\0"])
def test_a_note_that_is_none_is_as_good_as_missing(store: Store, text: str) -> None:
    left_by(store, IDS).write_text(text)
    assert tries(store).deaths == []


def test_a_note_that_cannot_be_written_is_no_samples_fault(store: Store) -> None:
    (store.path / FOLDER).write_text("a file")
    attempts = tries(store)
    assert not is_refused(attempts, IDS)
    attempts.end()


def test_readers_do_not_mind_notes(store: Store) -> None:
    left_by(store, IDS)
    assert verify(store.path).is_sound
    assert Store.open(store.path).parts("samples") == []


@dataclass(frozen=True)
class Deadly(Workplace):
    """A workplace at which writing a table ends as many workers as there are lives."""

    table: str = ""
    by: Work = die
    lives: int = 30

    def write(self, table: str, part_id: str, rows: Sequence[Row]) -> Any:
        taken = self.store.path.parent / "lives"
        if table == self.table and len(taken.read_text() if taken.exists() else "") < self.lives:
            with taken.open("a") as file:
                file.write("x")
            self.by([])
        return super().write(table, part_id, rows)


@pytest.fixture
def shard(study_of: Callable[[str], Study], store: Store) -> Shard:
    """Two samples, to be made in the store and scored."""
    (shard,) = prepare(study_of(TWO), store, 2).make_plan().shards(lambda entry, lack: 2)
    return shard


def through(stage: type, at: Workplace, row: Row) -> tuple[Row, int]:
    """Return what a stage makes of a row in the end, and how many of its workers died before."""
    file = at.store.path.parent / "row"

    def worker() -> None:
        file.write_text(json.dumps(stage(at)(row)))

    deaths = deaths_before_the_end(worker)
    return json.loads(file.read_text()), deaths


def row_for(stage: type, shard: Shard, store: Store) -> Row:
    """Return the row that comes to a stage; to the scorer with the part that is made."""
    row = {**EMPTY, "kind": "shard", "work": shard.to_json()}
    return row if stage is SamplerStage else through(SamplerStage, at_work(store), row)[0]


def at_work(store: Store, table: str = "", patience: Patience = PATIENCE, **options: Any) -> Deadly:
    return Deadly(store.claimed("run"), "run", "cpu", patience, table=table, **options)


@pytest.mark.parametrize(
    ("stage", "table"),
    [
        (SamplerStage, "samples"),
        (ScorerStage, "scores"),
        (ScorerStage, "failures"),
    ],
)
def test_a_shard_that_kills_who_writes_it_stops_the_run(
    stage: type, table: str, shard: Shard, store: Store
) -> None:
    row = row_for(stage, shard, store)
    done, deaths = through(stage, at_work(store, table), row)
    assert deaths == done["stopped"].count(" died") == TRIES
    assert done["stopped"].startswith(
        f"WorkerDied: workers ended at write of shard {shard.shard_id}"
    )
    assert store.count("samples") == (0 if table == "samples" else 2)  # what was written stays


def test_a_model_that_cannot_be_loaded_and_kills_who_says_so_stops_the_run(
    shard: Shard, store: Store
) -> None:
    row = row_for(SamplerStage, replace(shard, location="absent"), store)
    done, deaths = through(SamplerStage, at_work(store, "failures"), row)
    assert (deaths, done["stopped"].count(" died")) == (TRIES, TRIES)


def test_who_hangs_as_he_writes_scores_is_ended(shard: Shard, store: Store) -> None:
    row, patience = row_for(ScorerStage, shard, store), Patience(first=2.0, least=2.0)
    done, deaths = through(ScorerStage, at_work(store, "scores", patience, by=hang), row)
    assert deaths == done["stopped"].count(" hung for 2 seconds") == TRIES


def test_a_part_that_kills_who_reads_it_stops_the_run(
    shard: Shard, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_for(ScorerStage, shard, store)
    monkeypatch.setattr(ScorerStage, "_read", lambda *_: die([]))
    done, deaths = through(ScorerStage, at_work(store), row)
    assert deaths == done["stopped"].count(" died") == TRIES
    assert " at read of shard " in done["stopped"]


def test_a_shard_that_kills_who_writes_it_once_is_made_again(shard: Shard, store: Store) -> None:
    row = row_for(SamplerStage, shard, store)
    row, deaths = through(SamplerStage, at_work(store, "samples", lives=1), row)
    assert (deaths, row["made"], row["failed"], row["stopped"]) == (1, 2, 0, "")
    assert store.count("samples") == 2 and list((store.path / FOLDER).iterdir()) == []


def test_a_write_that_fails_stops_the_run_at_once(shard: Shard, store: Store) -> None:
    def fail(ids: Sequence[str]) -> None:
        raise OSError("the disk is gone")

    for stage, table in ((SamplerStage, "samples"), (ScorerStage, "scores")):
        row = row_for(stage, shard, store)
        done, deaths = through(stage, at_work(store, table, by=fail), row)
        assert (deaths, done["stopped"]) == (0, "OSError: the disk is gone")
