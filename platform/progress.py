"""How far a study has come, by its store alone: what its newest run planned, and what is there."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bakeoff.platform.benchmarks import Prompt
from bakeoff.platform.plan import sample_id
from bakeoff.platform.store import Store

PLANNED = ("run_id", "started", "study_name", "entries", "metrics", "prompts")
Run = Mapping[str, Any]  # a row of `runs`


class Lack(NamedTuple):
    """What a study planned and its store does not hold."""

    study: str
    planned: int
    samples: int
    scores: int


def newest_runs(store: Store) -> list[Run]:
    """Return what the newest run of each study planned, the newest first."""
    rows = store.read("runs", PLANNED).to_pylist()
    rows.sort(key=lambda row: (row["started"], row["run_id"]), reverse=True)
    newest: dict[str, Run] = {}
    for row in rows:
        newest.setdefault(row["study_name"], row)
    return list(newest.values())


def planned_samples(run: Run) -> Iterator[str]:
    """Yield the sample_id of every sample that a run planned."""
    for entry in run["entries"]:
        for seed in entry["seeds"]:
            for prompt in run["prompts"]:
                yield sample_id(
                    model=entry["model"],
                    weights_hash=entry["weights_hash"],
                    recipe_id=entry["recipe_id"],
                    benchmark=entry["benchmark"],
                    prompt=Prompt(prompt["prompt_id"], prompt["prompt"], task=""),
                    seed=seed,
                )


def lacks(store: Store) -> list[Lack]:
    """Return what each study lacks, the one run last first; what is complete is left out."""
    stored, scored = set(store.sample_parts()), store.score_keys()
    found = []
    for run in newest_runs(store):
        planned = set(planned_samples(run))
        metrics = [(metric["name"], metric["version"]) for metric in run["metrics"]]
        scores = sum((one, *metric) not in scored for one in planned for metric in metrics)
        lack = Lack(run["study_name"], len(planned), len(planned - stored), scores)
        if lack.samples or lack.scores:
            found.append(lack)
    return found
