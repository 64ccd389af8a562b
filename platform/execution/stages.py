"""The stages as Ray runs them: workers that come to a slip ask the foreman for a shard."""

from time import perf_counter
from typing import Any, cast

import ray
from ray.actor import ActorHandle

from bakeoff.platform.execution.foreman import Asking, Measured
from bakeoff.platform.execution.isolation import or_stopped
from bakeoff.platform.execution.pace import Speed
from bakeoff.platform.execution.plan import Shard
from bakeoff.platform.execution.sampling import SamplerStage, Workplace, device_name
from bakeoff.platform.execution.scoring import ScorerStage


class Sampler(SamplerStage):
    """A sampler that asks the foreman for its shards, and tells how long the last one took."""

    def __init__(self, workplace: Workplace, foreman: ActorHandle) -> None:
        super().__init__(workplace)
        self.foreman = foreman
        worker = ray.get_runtime_context().get_actor_id()
        self.asking = Asking(str(worker), device_name(workplace.device))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make what the foreman gives."""
        row = or_stopped(lambda slip: take(self.foreman, slip, self.asking), row)
        self.asking = self.asking._replace(measured=None)
        loaded, start = self.loaded, perf_counter()
        done = super().__call__(row)
        if done["size_bytes"]:  # it did make pictures
            shard = Shard.from_json(done["work"])
            self.asking = self.asking._replace(model=shard.model)
            if self.loaded == loaded:  # else its seconds are mostly those of loading
                made = done["images"] - done["failed"]
                speed = Speed(made, perf_counter() - start, done["size_bytes"])
                measured = Measured(shard.model, shard.recipe_id, speed)
                self.asking = self.asking._replace(measured=measured)
        return done


class Scorer(ScorerStage):
    """A scorer, which asks the foreman where no sampler has asked before it."""

    def __init__(self, workplace: Workplace, foreman: ActorHandle) -> None:
        super().__init__(workplace)
        self.foreman = foreman
        self.asking = Asking("scorer", device_name(workplace.device))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score what the row brings, or the foreman gives."""
        return super().__call__(or_stopped(lambda slip: take(self.foreman, slip, self.asking), row))


def take(foreman: ActorHandle, row: dict[str, Any], asking: Asking) -> dict[str, Any]:
    """Return the row with the shard that the foreman gives for it, or as no work at all."""
    if row["kind"] != "slip":
        return row
    work = cast(str | None, ray.get(foreman.take.remote(row["slip"], asking)))
    if work is None:
        return row | {"kind": "nothing"}
    shard = Shard.from_json(work)
    bound = {"kind": "shard", "work": work, "part": shard.part or "", "images": len(shard.items)}
    return row | bound
