"""What ends its worker is tried again alone, and given up in the end; the rest is made."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from bakeoff.platform.execution.attempts import FOLDER, Attempt, Attempts, Note, WorkerDied, forget
from bakeoff.platform.execution.isolation import TRIES, isolate
from bakeoff.platform.execution.plan import Item
from bakeoff.platform.execution.watchdog import Patience, Watchdog
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import verify
from tests.forked import end_of

ITEMS = [Item(f"id{n}", f"p{n}", f"prompt {n}", "task", 7, None) for n in range(4)]
IDS = [item.sample_id for item in ITEMS]
Work = Callable[[Sequence[str]], object]


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
    """Give a shard to one worker after the other, as Ray does, until one lives to its end."""

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

    for deaths in range(30):
        if end_of(worker) == 0:
            return Outcome(*json.loads((store.path.parent / "outcome").read_text()), deaths)
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
    assert error.startswith(f"{TRIES} WorkerDied('workers ended at this in shard shard: ")
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
