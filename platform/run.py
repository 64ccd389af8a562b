"""A run: the study checked, the plan made, the work done, and what became of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bakeoff.platform.attempts import forget
from bakeoff.platform.execution import (
    Device,
    Job,
    Progress,
    ReferenceSet,
    RunStopped,
    cluster,
    execute,
)
from bakeoff.platform.heartbeat import beating, check_alone
from bakeoff.platform.isolation import TRIES
from bakeoff.platform.metrics import build_metric
from bakeoff.platform.persistence import persistently
from bakeoff.platform.plan import Count, Plan, read_plan
from bakeoff.platform.provenance import new_run_id, run_row
from bakeoff.platform.sampling import Workplace
from bakeoff.platform.store import Store
from bakeoff.platform.stored import MetricKey
from bakeoff.platform.study import Study
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
        tries = None if self.retry_failures else TRIES
        return partial(read_plan, self.study, store, self.weights_hashes, self.metrics, tries)


@dataclass(frozen=True)
class Result:
    """What a run came to, in images."""

    made: int
    failed: int


def prepare(study: Study, store: Store, batch_size: int, *, retry_failures: bool = False) -> Work:
    """Return what is to be done; reads the store and the weight files, loads no model.

    What failed in an earlier run in all its tries is left out, unless it shall be tried again.

    Raises:
        InputError: a model is not downloaded, a weight file is missing or does not fit, a recipe
            reaches beyond its model's tokens, or a part of the store is damaged.
    """
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
    tries = None if retry_failures else TRIES
    plan = read_plan(study, store, hashes, metrics, tries)
    count = plan.count()
    stored = plan.stored
    every = replace(plan, stored=replace(stored, failed={})).count() if stored.failed else count
    present = store.reference_keys()
    references = tuple(
        ReferenceSet(study.benchmark, info.name)
        for info in described
        if info.kind == "set" and (study.benchmark, info.name, info.version) not in present
    )
    return Work(
        study,
        store,
        hashes,
        metrics,
        count,
        references,
        batch_size,
        given_up=every.images - count.images,
        retry_failures=retry_failures,
    )


def carry_out(
    work: Work,
    workers: int | None,
    report: Callable[[Progress], None],
    *,
    device: Device | None = None,
    resource: str | None = None,
) -> Result:
    """Do the work and report every finished shard; a run without work leaves Ray alone.

    The run is noted in the store before it begins, and also when only the study's text, its entries
    or its metrics changed, for readers take them from there.

    Raises:
        InputError: another run is writing the store, or no node suits what is asked.
        RunStopped: the work cannot go on, or more has failed than the study allows.
    """
    work.store.create()
    started = datetime.now(UTC)
    run_id = new_run_id(started)
    if not work.is_due:
        _note_run(work, started, run_id, workers or 0, "")
        return Result(0, 0)
    check_alone(work.store.path)
    with beating(work.store.path, run_id):
        store = work.store.claimed(run_id)
        forget(store)
        made = failed = 0
        with cluster(workers, device, resource) as machine:
            _note_run(work, started, run_id, machine.workers, machine.device)
            workplace = Workplace(store, run_id, machine.device, batch_size=work.batch_size)
            # The plan is made now that workers of a killed run can add nothing behind it.
            job = Job(work.plan_maker(store), work.count, work.references, work.batch_size)
            for done in execute(job, workplace, machine):
                made, failed = made + done.made, failed + done.failed
                report(done)
                _stop_if_failing(work, failed)
        return Result(made, failed)


def _stop_if_failing(work: Work, failed: int) -> None:
    if work.study.is_failing(failed):
        raise RunStopped(
            f"{failed} of its images failed, and fail_on_error of the study is "
            f"{json.dumps(work.study.fail_on_error)}; the reasons are in "
            f"{work.store.path / 'failures'}"
        )


def _note_run(work: Work, started: datetime, run_id: str, workers: int, device: str) -> None:
    told = _told(work)
    if not work.images and _newest(work.store, work.study.name) == told:
        return
    facts = told | {"batch_size": work.batch_size, "workers": workers, "device": device}
    facts["files"] = _files(work.study)
    row = run_row(started, run_id, facts)
    try:
        persistently(lambda: work.store.write("runs", run_id, [row]))
    except OSError as error:
        raise RunStopped(f"the run cannot be noted in the store: {error}") from error


def _files(study: Study) -> list[tuple[str, str]]:
    """Return the hash of every file of the study's models."""
    models = {entry.model.name: entry.model for entry in study.entries}
    return [
        (f"{model.name}/{name}", content)
        for model in models.values()
        for name, content in model.files().items()
    ]


def _told(work: Work) -> dict[str, Any]:
    """Return what a row of `runs` says of the study."""
    entries = [
        {
            "name": entry.name,
            "model": entry.model.name,
            "weights_hash": work.weights_hashes[entry.model.name],
            "dtype": entry.model.dtype,
            "compiled": entry.model.compiled,
            "recipe": str(entry.recipe),
            "recipe_id": entry.recipe.recipe_id,
            "seeds": list(entry.seeds),
            "benchmark": work.study.benchmark,
            "baseline": entry.baseline,
        }
        for entry in work.study.entries
    ]
    return {
        "study_name": work.study.name,
        "study": work.study.text,
        "entries": entries,
        "metrics": [metric._asdict() for metric in work.metrics],
        "prompts": [
            {"prompt_id": prompt.prompt_id, "prompt": prompt.prompt}
            for prompt in work.study.prompts
        ],
    }


def _newest(store: Store, study_name: str) -> dict[str, Any] | None:
    """Return what the newest run of a study told of it."""
    columns = ["started", "study_name", "study", "entries", "metrics", "prompts"]
    rows: Sequence[dict[str, Any]] = store.read("runs", columns).to_pylist()
    same = [row for row in rows if row["study_name"] == study_name]
    if not same:
        return None
    newest = max(same, key=lambda row: row["started"])
    return {key: value for key, value in newest.items() if key != "started"}
