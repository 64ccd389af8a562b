"""Several Ray nodes on this machine, which can be lost, and the processes that work on them."""

import os
import random
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

MARK = "simulated"  # the resource of the nodes that work
MEMORY = 80_000_000  # bytes of a node's object store, the least that Ray takes
WORKER = "ray::MapWorker"
STARTS = 3


class Machines:
    """A head that only schedules, and nodes that can be lost; their GPUs are Ray's belief."""

    def __init__(self, count: int, *, cores: int, gpus: int) -> None:
        self.size: dict[str, Any] = {"num_cpus": cores, "num_gpus": gpus}
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(count):
            self.add()

    def add(self) -> None:
        """Start a node; where the machine is busy, one that Ray gives up after 30 s is replaced."""
        for _ in range(STARTS - 1):
            with suppress(Exception):  # Ray (2.60) raises nothing more special
                return self._start()
        return self._start()

    def _start(self) -> None:
        self.cluster.add_node(**self.size, resources={MARK: 1}, object_store_memory=MEMORY)

    def lose(self, numbers: random.Random) -> None:
        """Take a node that is at work away without warning, and start another in its place."""
        busy = [node for node in self.cluster.worker_nodes if _working([node])]
        nodes = sorted(busy, key=lambda node: node.node_id) or list(self.cluster.worker_nodes)
        self.cluster.remove_node(numbers.choice(nodes), allow_graceful=False)
        self.add()

    def kill_worker(self, numbers: random.Random) -> None:
        """Kill a process that makes or scores pictures."""
        if working := self.working():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(numbers.choice(working), signal.SIGKILL)

    def working(self) -> list[int]:
        """Return the processes of all stages on these nodes, and on no other cluster's."""
        return _working(self.cluster.worker_nodes)

    def stop(self) -> None:
        """Stop all nodes."""
        self.cluster.shutdown()


def _working(nodes: Iterable[Any]) -> list[int]:
    raylets = {node.all_processes["raylet"][0].process.pid for node in nodes}
    return [pid for pid in sorted(_stage_processes()) if _parent(pid) in raylets]


def _stage_processes() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_text().startswith(WORKER):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def _parent(pid: int) -> int:
    """Return the process that started another; 0 if that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid")))
