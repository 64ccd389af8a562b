"""A worker that asks the foreman tells how fast it is; larger shards hold the same pictures."""

from pathlib import Path

import pytest
import ray

from bakeoff.platform.execution.foreman import Crew, Foreman
from bakeoff.platform.execution.run import prepare
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.execution.slips import EMPTY
from bakeoff.platform.execution.stages import Sampler
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import Study
from tests.trials import samples

pytestmark = pytest.mark.usefixtures("ray_here")


def test_shards_grow_with_the_speed_that_a_worker_measures(
    trial: Study, undisturbed: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    store.create()
    work = prepare(trial, store, 1)
    foreman = ray.remote(Foreman).options(num_cpus=0).remote(work.make_plan, work.count, Crew(1, 1))
    ray.get(foreman.open.remote())
    stage = Sampler(Workplace(store, "run", "cpu", batch_size=1), foreman)
    sizes = []
    while slip := ray.get(foreman.slip.remote()):
        done = stage({**EMPTY, "slip": slip})
        assert not done["stopped"]
        if done["kind"] != "nothing":
            sizes.append(done["images"])
        ray.get(foreman.done.remote(slip))
    ray.kill(foreman)
    assert sizes[:2] == [1, 1]  # of the first, most seconds are those of loading
    assert max(sizes) > 4 and sum(sizes) == 18
    assert samples(store.path) == samples(undisturbed)
    profiles = store.read("profiles", ["batch_size", "stage"]).to_pylist()
    assert {row["batch_size"] for row in profiles} == {1}
