"""The foreman: one process that holds the plan of a run, and cuts a shard when a worker asks.

Workers get slips of paper in the place of work, a bounded number at a time, and whoever holds one
asks here what to do. So no row is bound before its worker is free for it, a shard is cut by what is
known by then, and a worker is given work for the model that it has loaded as long as there is any.
Another worker that asks on the same slip, since the first died, is given the same shard, and none
once that is done.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bakeoff.platform.execution.pace import Pace, Speed
from bakeoff.platform.execution.plan import Count, Lack, Plan, Shard
from bakeoff.platform.studies.study import Entry

SLIPS_AHEAD = 4  # for each worker: at work, finished and not yet scored, or on the way
SPARE_SLIPS = 4
SCORED_TOGETHER = 128  # images that are only to be scored: their part is read as a whole
TOO_EARLY = 0  # in the place of a slip
Model = str | None  # None: no model has to run


class Measured(NamedTuple):
    """What a worker's last shard took."""

    model: str
    recipe_id: str
    speed: Speed


class Asking(NamedTuple):
    """Who asks for work: the model that it has loaded, and what it measured last."""

    worker: str
    device: str
    model: str | None = None
    measured: Measured | None = None


@dataclass(frozen=True)
class Crew:
    """How many workers make pictures, and how many of them at once."""

    workers: int
    batch_size: int


class Foreman:
    """Hands out the shards of a plan; `count` tells of it beforehand, as far as is known."""

    def __init__(self, make_plan: Callable[[], Plan], count: Count, crew: Crew) -> None:
        self._make_plan, self.crew = make_plan, crew
        self.pace = Pace(crew.batch_size, crew.workers)
        self.left: dict[Model, int] = dict(count.by_model.items())
        if scored := count.images - sum(count.by_model.values()):
            self.left[None] = scored
        self._streams: dict[Model, Iterator[Shard]] = {}
        self._given: dict[int, str | None] = {}  # by slip that is not done
        self._scoring: set[int] = set()  # slips, of these, that need no model
        self._models: dict[str, Model] = {}  # by worker
        self._untaken: set[int] = set()  # slips, of which few are out at a time
        self._issued = self._done = 0
        self._device = ""
        self._begun = False

    def open(self) -> None:
        """Read what the store holds, and begin.

        Raises:
            InputError: a part of it is damaged.
            RuntimeError: it had begun, and slips are lost with the process that gave them out.
        """
        if self._begun:
            raise RuntimeError("the process that gives out slips was lost")
        self._begun = True
        plan = self._make_plan()
        for model in self.left:
            needs_model = model is not None
            own = [e for e in plan.study.entries if e.model.name == model or not needs_model]
            self._streams[model] = plan.shards(self._size, own, needs_model=needs_model)

    def slip(self) -> int | None:
        """Return the number of a new slip, `TOO_EARLY`, or None where there is no more work."""
        if not self._streams:
            return None
        batches = -(-sum(self.left.values()) // self.crew.batch_size)
        # Counted before the run, so that one more is asked for before nothing is believed left.
        needed = max(1, min(batches, self.crew.workers + SPARE_SLIPS))
        ahead = SLIPS_AHEAD * self.crew.workers + SPARE_SLIPS
        # Before the first is done there may be no scorer, and no room for one until samplers end.
        is_full = self._done > 0 and self._issued - self._done >= ahead
        if is_full or len(self._untaken) >= needed:
            return TOO_EARLY
        self._issued += 1
        self._untaken.add(self._issued)
        return self._issued

    def take(self, slip: int, asking: Asking) -> str | None:
        """Return the shard of a slip as its text; None where nothing is left, or it is done."""
        if slip in self._untaken:
            self._untaken.remove(slip)
            if asking.measured:
                self.pace.learn(asking.device, *asking.measured)
            self._given[slip] = self._next(slip, asking)
        return self._given.get(slip)

    def done(self, slip: int) -> None:
        """Forget a slip whose shard is stored."""
        self._given.pop(slip, None)
        self._scoring.discard(slip)
        self._done += 1

    def _next(self, slip: int, asking: Asking) -> str | None:
        self._device = asking.device
        self._models[asking.worker] = asking.model
        for model in self._preferred(asking):
            shard = next(self._streams[model], None)
            if shard is None:
                del self._streams[model], self.left[model]
                continue
            self.left[model] -= len(shard.items)
            if model is None:
                self._scoring.add(slip)
            else:
                self._models[asking.worker] = model
            return shard.to_json()
        return None

    def _preferred(self, asking: Asking) -> list[Model]:
        """Return what there is work for, in the order in which it suits a worker.

        What is only to be scored goes out beside the other work, but not so much of it at once that
        all slips wait for scorers. Who has to load a model takes that with most work a worker.
        """
        at_work = list(self._models.values())

        def share(model: Model) -> float:
            return self.left[model] / (at_work.count(model) + 1)

        modelled: list[Model] = [model for model in self._streams if model is not None]
        order = sorted(modelled, key=share, reverse=True)
        if asking.model in order:
            order.remove(asking.model)
            order.insert(0, asking.model)
        if None in self._streams:
            few = SPARE_SLIPS + self.crew.workers // SPARE_SLIPS
            order.insert(0 if len(self._scoring) < few else len(order), None)
        return order

    def _size(self, entry: Entry, lack: Lack) -> int:
        if not lack.needs_model:
            return max(SCORED_TOGETHER, self.crew.batch_size)
        left = sum(self.left.values())
        return self.pace.size(self._device, entry.model.name, entry.recipe.recipe_id, left)
