"""How far a study has come, by its store alone: what its newest run planned, and what is there."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from bakeoff.platform.execution.plan import Wanted
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import MetricKey, Stored, read_stored
from bakeoff.platform.studies.benchmarks import Prompt

PLANNED = ("run_id", "started", "study_name", "entries", "metrics", "prompts")
Run = Mapping[str, Any]  # a row of `runs`


class Standing(NamedTuple):
    """How many samples a run planned, and how far they are; `scores` counts those missing."""

    planned: int
    made: int
    scored: int  # by every metric
    failed: int  # at anything, and not scored
    scores: int


class Lack(NamedTuple):
    """What a study planned and its store does not hold."""

    study: str
    planned: int
    samples: int
    scores: int


def newest_runs(store: Store) -> list[Run]:
    """Return what the newest run of each study planned, the newest first.

    A row that does not tell what was planned, as only a stranger writes one, is left out.
    """
    rows = store.read("runs", PLANNED).to_pylist()
    rows = [row for row in rows if None not in row.values()]
    rows.sort(key=lambda row: (row["started"], row["run_id"]), reverse=True)
    newest: dict[str, Run] = {}
    for row in rows:
        newest.setdefault(row["study_name"], row)
    return list(newest.values())


def standing(run: Run, stored: Stored) -> Standing:
    """Return how far the samples that a run planned are."""
    total = np.zeros(len(Standing._fields), np.int64)
    for wanted in _wanted(run):
        for _, digests in wanted.windows():
            made = whole = stored.samples.find(digests) >= 0
            scores = 0
            for metric in run["metrics"]:
                scored = stored.scored(MetricKey(metric["name"], metric["version"]), digests)
                whole = whole & scored
                scores += int((~scored).sum())
            failed = np.zeros(len(digests), bool)
            for ids in stored.failed.values():
                failed |= ids.hold(digests)
            failed &= ~whole
            total += (len(digests), made.sum(), whole.sum(), failed.sum(), scores)
    return Standing(*total.tolist())


def lacks(store: Store) -> list[Lack]:
    """Return what each study lacks, the one run last first; what is complete is left out."""
    stored = read_stored(store, traces=False, tries=None)
    found = []
    for run in newest_runs(store):
        far = standing(run, stored)
        lack = Lack(run["study_name"], far.planned, far.planned - far.made, far.scores)
        if lack.samples or lack.scores:
            found.append(lack)
    return found


def _wanted(run: Run) -> Iterator[Wanted]:
    prompts = [Prompt(one["prompt_id"], one["prompt"], task="") for one in run["prompts"]]
    for entry in run["entries"]:
        yield Wanted(entry, prompts[: entry["prompts"]], entry["seeds"])  # None: all of them
