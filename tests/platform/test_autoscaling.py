"""A cluster whose nodes start only when there is work: a head without cores, nodes that come."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from bakeoff.platform.execution.execution import Job, Machine, cluster, execute
from bakeoff.platform.execution.run import prepare
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.errors import InputError

MEMORY = 80_000_000  # bytes of the object store, the least that Ray takes


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A head that only schedules; the tests below stand in the order in which nodes come."""
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ((None, None), "no GPU and no core is"),
        ((None, "cuda"), "no GPU is"),
        ((2, None), "no GPU and no core is"),
        ((None, "cpu", "big"), "no core with resource 'big' is"),
    ],
)
def test_a_cluster_without_nodes_is_told_what_to_start(
    head: Cluster, asked: tuple, what: str
) -> None:
    with pytest.raises(InputError, match=f"^{what} up in the cluster: give --device and --workers"):
        cluster(*asked).__enter__()


def test_work_waits_for_gpus_that_are_not_up_yet(
    head: Cluster, trial: Study, tmp_path: Path
) -> None:
    """More workers than ever come are no harm: those that are there do the work."""
    store = Store(tmp_path / "store")
    store.create()
    work = prepare(trial, store, 12)
    with cluster(3, "cuda") as machine, ThreadPoolExecutor() as pool:
        assert machine == Machine(3, "cuda")
        workplace = Workplace(store.claimed("run"), "run", "cpu")  # the GPUs are Ray's belief only
        job = Job(work.plan_maker(work.store), work.count, (), 12)
        done = pool.submit(lambda: list(execute(job, workplace, machine)))
        head.add_node(num_cpus=4, num_gpus=2, resources={"big": 1}, object_store_memory=MEMORY)
        assert sum(progress.made for progress in done.result(timeout=120)) == 18


def test_nodes_that_are_up_are_counted(head: Cluster) -> None:
    with cluster(None) as machine:
        assert machine == Machine(2, "cuda")
    with cluster(None, "cpu") as machine:
        assert machine == Machine(4, "cpu")
    with cluster(None, resource="big") as machine:
        assert machine == Machine(2, "cuda", "big")


def test_workers_go_to_nodes_with_the_resource(head: Cluster) -> None:
    @ray.remote
    def node() -> str:
        time.sleep(0.2)  # so that they have to spread
        return ray.get_runtime_context().get_node_id()

    marked = {n["NodeID"] for n in ray.nodes() if "big" in n["Resources"]}
    head.add_node(num_cpus=4, object_store_memory=MEMORY)
    request = Machine(8, "cpu", "big").request(0.25)
    assert set(ray.get([node.options(**request).remote() for _ in range(16)])) == marked


def test_what_this_machine_has_not_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ray.shutdown()  # of the test's own connection: `cluster` starts Ray here
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=r"^there is no core with resource 'big' on this machine"):
        cluster(2, "cpu", "big").__enter__()
    assert not ray.is_initialized()
