"""Kills at random, at length: `python -m tests.chaos --rounds 20`.

A local Ray cluster of several nodes runs one study again and again, each time into a new store and
each time with one accident at a random moment: a worker killed, a node gone without warning, the
driver killed, a second driver on the same store. Afterwards the same command is given until it has
nothing left to do. Every store must hold the ids, pixels, tokens and scores of an undisturbed run.
"""

import argparse
import logging
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

# Read when Ray is imported, and handed down to drivers and workers.
os.environ |= {
    "RAY_worker_niceness": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_AUTH_MODE": "token",  # nobody else may use the cluster
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}

from bakeoff.platform.store.store import Store
from tests.machines import MARK, Machines

STUDY = """
name: chaos
benchmark: {{name: shapes, split: all, limit: {limit}}}
metrics: [composition]
models:
  - model: tiny-meissonic
    recipes:
      vanilla:
      noise: {{like: vanilla, noise: abs_cos(1)}}
"""
CORES = 2  # of a node, and as many simulated GPUs
REFUSAL = r"bakeoff: store \S+ is being written by run [^\n]*\n"
RUNS = 5  # of one command, after which a store counts as lost
Rows = dict[str, tuple]


class Round(NamedTuple):
    """One run with its accident; seconds until nothing was left to do."""

    accident: str
    after: float  # the share of the study that was stored by then
    seconds: float
    runs: int
    same: bool


class Trial:
    """The study on its way into one store."""

    def __init__(self, machines: Machines, workers: int, study: Path, store: Path) -> None:
        self.machines, self.store = machines, store
        script = "from bakeoff.platform.cli import app; app()"
        self.command = [
            sys.executable, "-c", script, "run", str(study), "--store", str(store),
            "--batch-size", "4", "--device", "cpu", "--resource", MARK,
            "--workers", str(workers),
        ]  # fmt: skip
        self.log = store.with_suffix(".log")
        self.driver = self.start()

    def start(self, **pipes: int) -> subprocess.Popen[bytes]:
        """Start a driver as the leader of a group of its own, which writes into the log."""
        environment = os.environ | {"RAY_ADDRESS": self.machines.cluster.address}
        with self.log.open("ab") as log:
            outputs = {"stdout": log, "stderr": log} | pipes
            return subprocess.Popen(
                self.command, env=environment, start_new_session=True, **outputs
            )

    def wait_for(self, images: int) -> None:
        """Wait until so many images are stored, or the driver has ended."""
        while self.driver.poll() is None and self.stored() < images:
            time.sleep(0.1)

    def stored(self) -> int:
        """Return how many images are stored."""
        return sum(len(rows) for rows in _read(self.store, "samples", ["sample_id"]))

    def kill_driver(self) -> None:
        """End the driver as a crash would."""
        os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()

    def finish(self) -> int:
        """Give the command until it succeeds, and return how often that was.

        Raises:
            RuntimeError: it did not in so many runs.
        """
        for runs in range(1, RUNS + 1):
            if self.driver.wait() == 0:
                return runs
            self.driver = self.start()
        self.kill_driver()
        last = self.log.read_text(errors="replace").splitlines()[-1:]
        raise RuntimeError(f"{RUNS} runs did not finish the study; the last said: {last}")

    def rows(self) -> Rows:
        """Return what the store holds, by key; a key that lies there twice is an error."""
        found: Rows = {}
        for table, columns in (
            ("samples", ["sample_id", "pixel_hash", "tokens"]),
            ("scores", ["sample_id", "metric", "value"]),
        ):
            keys = 1 if table == "samples" else 2
            for part in _read(self.store, table, columns):
                for row in part.to_pylist():
                    values = [str(value) for value in row.values()]
                    key = " ".join([table, *values[:keys]])
                    assert key not in found, f"{key} is stored twice"
                    found[key] = tuple(values[keys:])
        return found


def _read(store: Path, table: str, columns: list[str]) -> list[Any]:
    opened = Store(store)
    return [opened.read_part(part, columns) for part in opened.parts(table)]


def worker(trial: Trial, numbers: random.Random) -> None:
    """Kill a worker."""
    trial.machines.kill_worker(numbers)


def node(trial: Trial, numbers: random.Random) -> None:
    """Lose a node."""
    trial.machines.lose(numbers)


def driver(trial: Trial, numbers: random.Random) -> None:
    """Kill the driver."""
    trial.kill_driver()


def second_driver(trial: Trial, numbers: random.Random) -> None:
    """Start another driver on the same store, which has to say that the first is writing it."""
    other = trial.start(stderr=subprocess.PIPE)
    _, told = other.communicate()
    refused = other.returncode == 2 and re.fullmatch(REFUSAL, told.decode())
    came_too_late = other.returncode == 0 and trial.driver.poll() is not None
    assert refused or came_too_late, f"the second driver ended with {other.returncode}: {told!r}"


ACCIDENTS: tuple[Callable[[Trial, random.Random], None], ...] = (
    worker,
    node,
    driver,
    second_driver,
)


def disturbed(trial: Trial, undisturbed: Rows, place: int, numbers: random.Random) -> Round:
    """Run a trial to its end with one accident on the way."""
    start = time.monotonic()
    accident = ACCIDENTS[place % len(ACCIDENTS)]
    images = sum(key.startswith("samples") for key in undisturbed)
    trial.wait_for(max(1, int(numbers.random() * images)))
    after = trial.stored() / images
    if trial.driver.poll() is None:
        accident(trial, numbers)
    runs = trial.finish()
    seconds = time.monotonic() - start
    name = accident.__name__.replace("_", " ")
    return Round(name, after, seconds, runs, trial.rows() == undisturbed)


def main() -> int:
    """Run the rounds that the command line asks for; 1 if any store differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=3, help="that work; the head is one more")
    parser.add_argument("--limit", type=int, default=20, help="prompts of each of six tasks")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    numbers = random.Random(given.seed)
    with TemporaryDirectory(dir="/var/tmp") as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(STUDY.format(limit=given.limit))
        machines = Machines(given.nodes, cores=CORES, gpus=CORES)
        workers = given.nodes * CORES
        try:
            start = time.monotonic()
            calm = Trial(machines, workers, study, Path(folder) / "undisturbed")
            calm.finish()
            seconds = time.monotonic() - start
            print(f"undisturbed: {calm.stored()} images in {seconds:.0f} s", flush=True)
            print("round  accident       stored   runs  seconds    lost  same", flush=True)
            same = True
            for place in range(given.rounds):
                trial = Trial(machines, workers, study, Path(folder) / f"round-{place}")
                one = disturbed(trial, calm.rows(), place, numbers)
                same &= one.same
                print(
                    f"{place + 1:5}  {one.accident:13} {one.after:6.0%} {one.runs:6} "
                    f"{one.seconds:8.1f} {one.seconds - seconds:+7.1f}  "
                    f"{'yes' if one.same else 'NO'}",
                    flush=True,
                )
        finally:
            machines.stop()
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
