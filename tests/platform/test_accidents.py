"""What is lost in mid-run changes no row: nodes, workers and drivers of a cluster of several nodes.

The store must hold what the same stages made in one process, without Ray.
"""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray

from bakeoff.platform.execution.attempts import FOLDER, Attempt, Attempts, Note
from bakeoff.platform.execution.execution import Job, Machine, execute
from bakeoff.platform.execution.heartbeat import ALIVE_FILE
from bakeoff.platform.execution.isolation import TRIES
from bakeoff.platform.execution.run import prepare
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.execution.watchdog import PATIENCE, Watchdog
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.errors import InputError
from tests.machines import MARK, MEMORY, Machines
from tests.trials import run, samples, scores

pytestmark = pytest.mark.usefixtures("joined")
IMAGES = 18  # of the study `trial`
SLOW = """
name: slow
prompts: [a photo of a ring, a photo of a heart]
metrics: [clip_score]
models:
  - path: masked
    recipes:
      vanilla: steps=64 guidance_scale=2 zigzag=masked
"""


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Three Ray nodes with simulated GPUs, and a head."""
    machines = Machines(3, cores=2, gpus=2)
    yield machines
    machines.stop()


@pytest.fixture(scope="module")
def joined(machines: Machines) -> Iterator[None]:
    """The cluster, joined by this process.

    Only here: who comes back to a cluster from another one loses its actors there (Ray 2.60).
    """
    ray.init(address=machines.cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture
def numbers() -> random.Random:
    """Random moments, other ones every time; pytest shows the seed if the test fails."""
    seed = random.randrange(2**32)
    print(f"{seed=}")
    return random.Random(seed)


def test_a_node_that_goes_without_warning_and_a_worker_that_is_killed_lose_nothing(
    trial: Study, undisturbed: Path, machines: Machines, tmp_path: Path, numbers: random.Random
) -> None:
    store = Store(tmp_path / "store")
    store.create()
    work = prepare(trial, store, 1)
    job = Job(work.plan_maker(store), work.count, (), 1)
    at = Workplace(store.claimed("run"), "run", "cpu")  # the GPUs are Ray's belief only
    accidents = [machines.lose, machines.kill_worker]
    numbers.shuffle(accidents)
    moments = sorted(numbers.sample(range(1, 12), 2))
    done = 0
    for progress in execute(job, at, Machine(3, "cuda", MARK)):
        done += progress.images
        if moments and done >= moments[0]:
            moments.pop(0)
            accidents.pop()(numbers)
        assert progress.failed == 0
    assert not accidents
    assert samples(store.path) == samples(undisturbed)
    assert scores(store.path) == scores(undisturbed)
    assert done >= IMAGES


def test_a_driver_refuses_a_second_one_while_it_lives_and_is_resumed_when_it_is_killed(
    trial: Study,
    study_text: str,
    checkpoints: Path,
    undisturbed: Path,
    machines: Machines,
    tmp_path: Path,
    numbers: random.Random,
) -> None:
    (checkpoints / "study.yaml").write_text(study_text)
    place = tmp_path / "store"
    script = "from bakeoff.platform.cli import app; app()"
    command = ["run", str(checkpoints / "study.yaml"), "--store", str(place), "--batch-size", "1"]
    driver = subprocess.Popen(
        [sys.executable, "-c", script, *command, "--device", "cpu", "--workers", "1"],
        start_new_session=True,
        env=os.environ | {"RAY_ADDRESS": machines.cluster.address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for((place / ALIVE_FILE).exists, driver)
        with pytest.raises(InputError, match=f"is being written by run .* process {driver.pid} "):
            run(trial, place)
        enough = numbers.randrange(1, 12)
        wait_for(lambda: Store(place).count("samples") >= enough, driver)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    stored = samples(place)
    assert 0 < len(stored) < IMAGES
    result = run(trial, place)
    assert result.failed == 0 and result.made <= IMAGES - len(stored)
    assert samples(place) == samples(undisturbed)
    assert scores(place) == scores(undisturbed)


def wait_for(condition: Callable[[], bool], driver: subprocess.Popen | None = None) -> None:
    """Wait until it is so; a driver must live until then."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline and (driver is None or driver.poll() is None)
        time.sleep(0.05)


@contextmanager
def killer_of(sample_id: str, place: Path, machines: Machines) -> Iterator[set[int]]:
    """Kill each worker that begins work on a sample, as the system does with one too large."""
    killed: set[int] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            for note in (place / FOLDER).glob("*-sample.json"):
                try:
                    now = json.loads(note.read_text())["at_work"]
                except (OSError, ValueError):
                    continue
                pid = int(now["worker"].rpartition(":")[2])
                is_deadly = now["stage"] == "generate" and sample_id in now["work"]
                if is_deadly and pid not in killed and pid in machines.working():
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def leave_note(store: Store, shard_id: str, *deaths: Attempt) -> None:
    """Leave the note of a worker of the run `run` that died, as others did before it."""
    note = Note(run_id="run", at_work=deaths[-1], deaths=list(deaths[:-1]))
    (store.path / FOLDER).mkdir()
    (store.path / FOLDER / f"{shard_id}-sample.json").write_text(note.model_dump_json())


def test_a_prompt_that_kills_its_last_worker_too_fails_and_the_others_are_made(
    study_of: Callable[[str], Study], machines: Machines, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    store.create()
    work = prepare(study_of(SLOW), store, 1)
    first, second = work.make_plan().shards(lambda entry, lack: 1)
    deadly = second.items[0].sample_id
    earlier = Attempt(worker="another:1", node="", stage="generate", work=[deadly])
    leave_note(store, second.shard_id, *[earlier] * (TRIES - 1))
    job = Job(work.plan_maker(store), work.count, (), 1)
    at = Workplace(store.claimed("run"), "run", "cpu", batch_size=1)
    with killer_of(deadly, store.path, machines) as killed:
        done = list(execute(job, at, Machine(1, "cpu")))
    assert sum(one.made for one in done) == sum(one.failed for one in done) == len(killed) == 1
    assert list(samples(store.path)) == [first.items[0].sample_id]
    columns = ["sample_id", "stage", "error_type", "message", "attempt"]
    (failure,) = store.read("failures", columns).to_pylist()
    message = failure.pop("message")
    assert list(failure.values()) == [deadly, "generate", "WorkerDied", TRIES]
    workers = store.read("workers", ["worker", "shard_id", "ended"]).to_pylist()
    (died,) = (row for row in workers if row["ended"])
    assert (died["shard_id"], died["ended"]) == (second.shard_id, "died")
    assert f"{died['worker']} died" in message
    assert list((store.path / FOLDER).iterdir()) == []


def test_a_node_that_went_away_blames_nobody(machines: Machines, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.create()
    log = WorkerLog(store, "run", "sample", "cpu")
    node = machines.cluster.add_node(num_cpus=0, object_store_memory=MEMORY)
    last = Attempt(worker="another:1", node=node.node_id, stage="generate", work=["a"])
    leave_note(store, "shard", last)
    assert Attempts(log, Watchdog(PATIENCE), "shard").deaths == [last]
    machines.cluster.remove_node(node, allow_graceful=False)
    wait_for(lambda: not next(one for one in ray.nodes() if one["NodeID"] == node.node_id)["Alive"])
    assert Attempts(log, Watchdog(PATIENCE), "shard").deaths == []
