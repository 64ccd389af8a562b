"""A run: the study checked, the plan made, the work done, and what became of it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bakeoff.platform.execution.attempts import forget
from bakeoff.platform.execution.deciding import Reach, check_contest, rounds
from bakeoff.platform.execution.execution import (
    Device,
    Job,
    Machine,
    Progress,
    ReferenceSet,
    RunStopped,
    cluster,
    execute,
)
from bakeoff.platform.execution.heartbeat import beating, check_alone
from bakeoff.platform.execution.isolation import TRIES
from bakeoff.platform.execution.noting import RunNote
from bakeoff.platform.execution.plan import GENERATE, Count, Plan, read_plan
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.queries.views import Views
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import Ids, MetricKey, Stored
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import Rule
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.catalog import check_downloaded, check_files
from bakeoff.samplers.errors import InputError


@dataclass(frozen=True)
class Work:
    """What a study still lacks in a store."""

    study: Study
    store: Store
    weights_hashes: Mapping[str, str]  # by model name
    metrics: tuple[MetricKey, ...]
    count: Count
    references: tuple[ReferenceSet, ...]
    batch_size: int
    given_up: int = 0  # samples that failed in earlier runs and are left at that
    retry_failures: bool = False
    rule: Rule | None = None  # of a run until decided; there is this much to do at most

    @property
    def images(self) -> int:
        """The number of samples to make or to score."""
        return self.count.images

    @property
    def is_due(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.images or self.references)

    def make_plan(self) -> Plan:
        """Return the plan by what the store holds now; it is too large to be kept here.

        Raises:
            InputError: a part of the store is damaged.
        """
        return self.plan_maker(self.store)()

    def plan_maker(self, store: Store) -> Callable[[], Plan]:
        """Return what makes the plan, wherever it is called, from the store given."""
        asked = (self.study, store, self.weights_hashes, self.metrics, self.retry_failures)
        return partial(_read_plan, *asked)

    def part(self, study: Study) -> "Work":
        """Return what a part of the study lacks by what the store holds now."""
        part = replace(self, study=study, references=_references(study, self.store))
        return replace(part, count=part.make_plan().count())

    def failures(self, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return columns of what failed of the study's samples, in this run or an earlier one."""
        rows = self.store.read("failures", ["sample_id", *columns]).to_pylist()
        failed = Ids.of([row["sample_id"] for row in rows])
        plan, own = Plan(self.study, self.weights_hashes, self.metrics, Stored()), set[str]()
        for entry in self.study.entries:
            wanted = plan.wanted(entry)
            for start, digests in wanted.windows():
                places = start + np.flatnonzero(failed.hold(digests))
                own.update(item.sample_id for item in wanted.items(places.tolist()))
        return [row for row in rows if row["sample_id"] in own]


@dataclass(frozen=True)
class Result:
    """What a run came to, in images."""

    made: int
    failed: int


def prepare(
    study: Study,
    store: Store,
    batch_size: int,
    *,
    retry_failures: bool = False,
    rule: Rule | None = None,
) -> Work:
    """Return what is to be done; reads the store and the weight files, loads no model.

    What failed in an earlier run in all its tries is left out, unless it shall be tried again. With
    a rule it is the most that may be done: the study is run until decided.

    Raises:
        InputError: a model is not downloaded, a weight file is missing or does not fit, a recipe
            reaches beyond its model's tokens, a part of the store is damaged, or there is nothing
            to decide.
    """
    if rule:
        check_contest(study)
    models = {entry.model.name: entry.model for entry in study.entries}
    locations = [model.location for model in models.values() if model.location is not None]
    for location in locations:  # before files of gigabytes are hashed
        check_downloaded(location)
    hashes = {name: model.weights_hash() for name, model in models.items()}
    for entry in study.entries:
        try:
            entry.model.check(entry.recipe)
        except InputError as error:
            raise InputError(f"{entry.name}: {error}") from None
    for location in locations:
        check_files(location)
    described = [build_metric(name).info for name in study.metrics]
    metrics = tuple(MetricKey(info.name, info.version) for info in described)
    plan = _read_plan(study, store, hashes, metrics, retry_failures)
    count = plan.count()
    stored = plan.stored
    every = replace(plan, stored=replace(stored, failed={})).count() if stored.failed else count
    return Work(
        study,
        store,
        hashes,
        metrics,
        count,
        _references(study, store),
        batch_size,
        given_up=every.images - count.images,
        retry_failures=retry_failures,
        rule=rule,
    )


def _read_plan(
    study: Study,
    store: Store,
    weights_hashes: Mapping[str, str],
    metrics: Sequence[MetricKey],
    retry_failures: bool,
) -> Plan:
    """Return the plan by what the store holds now.

    Pictures that were made elsewhere cannot be made again; what metrics failed at can be tried.
    """
    if not (retry_failures and study.is_made_elsewhere):
        tries = None if retry_failures else TRIES
        return read_plan(study, store, weights_hashes, metrics, tries)
    plan = read_plan(study, store, weights_hashes, metrics, TRIES)
    missing = {key: ids for key, ids in plan.stored.failed.items() if key.stage == GENERATE}
    return replace(plan, stored=replace(plan.stored, failed=missing))


def _references(study: Study, store: Store) -> tuple[ReferenceSet, ...]:
    """Return the sets of real pictures that a study's metrics have not seen yet."""
    present = store.reference_keys()
    described = [build_metric(name).info for name in study.metrics]
    return tuple(
        ReferenceSet(study.benchmark, info.name)
        for info in described
        if info.kind == "set" and (study.benchmark, info.name, info.version) not in present
    )


def carry_out(
    work: Work,
    workers: int | None,
    report: Callable[[Progress], None],
    *,
    device: Device | None = None,
    resource: str | None = None,
    begin: Callable[[Work], object] = lambda step: None,
) -> Result:
    """Do the work and report every finished shard; a run without work leaves Ray alone.

    Until decided, it is done in rounds; `begin` is told each before it starts. The run is noted in
    the store before it begins, and also when only the study's text, its entries or its metrics
    changed, for readers take them from there.

    Raises:
        InputError: another run is writing the store, or no node suits what is asked.
        RunStopped: the work cannot go on, or more has failed than the study allows.
    """
    work.store.create()
    note = RunNote(work.study, work.weights_hashes, work.metrics, work.batch_size, work.rule)
    made = failed = 0
    with ExitStack() as until_the_end:
        workplace: Workplace | None = None
        for step, reach in _steps(work):
            if step.is_due and workplace is None:
                place = _place(work, note, workers, device, resource)
                workplace, machine = until_the_end.enter_context(place)
            store = workplace.store if workplace else work.store
            if step.images or note.is_behind(store, reach):
                note.write(store, reach)
            if not step.is_due or workplace is None:
                continue
            begin(step)
            # The plan is made now that workers of a killed run can add nothing behind it.
            job = Job(step.plan_maker(store), step.count, step.references, step.batch_size)
            for done in execute(job, workplace, machine):
                made, failed = made + done.made, failed + done.failed
                report(done)
                _stop_if_failing(work, failed)
    return Result(made, failed)


def _steps(work: Work) -> Iterator[tuple[Work, Reach | None]]:
    """Yield what is to be done together, and how far entries are asked for then; None: all."""
    if work.rule is None:
        yield work, None
        return
    done = 0
    for one in rounds(work.study, work.rule, lambda: Views(work.store)):
        # What failed in an earlier round stays failed, and is neither made nor counted again.
        news = replace(one.study, prompts=one.study.prompts[done:])
        yield work.part(news), one.reach
        done = len(one.study.prompts)


@contextmanager
def _place(
    work: Work,
    note: RunNote,
    workers: int | None,
    device: Device | None,
    resource: str | None,
) -> Iterator[tuple[Workplace, Machine]]:
    """Give the cluster, and the store as this run's alone to write."""
    check_alone(work.store.path)
    with beating(work.store.path, note.run_id):
        store = work.store.claimed(note.run_id)
        forget(store)
        with cluster(workers, device, resource) as machine:
            note.workers, note.device = machine.workers, machine.device
            workplace = Workplace(store, note.run_id, machine.device, batch_size=work.batch_size)
            yield workplace, machine


def _stop_if_failing(work: Work, failed: int) -> None:
    if work.study.is_failing(failed):
        raise RunStopped(
            f"{failed} of its images failed, and fail_on_error of the study is "
            f"{json.dumps(work.study.fail_on_error)}; the reasons are in "
            f"{work.store.path / 'failures'}"
        )
