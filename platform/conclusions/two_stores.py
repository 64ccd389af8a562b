"""One study in two stores, before and after a change: each entry against itself.

Pairs are of the same wording of a prompt and the same seed place, whatever else changed.
"""

from collections.abc import Iterator

import numpy as np

from bakeoff.evaluators.comparison import pairs
from bakeoff.evaluators.statistics import win_values
from bakeoff.platform.conclusions.comparisons import Meeting
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import read_stopping
from bakeoff.samplers.errors import InputError

Key = tuple[str, int]  # prompt and seed place


def shared_entries(views: Views, others: Views, study: str) -> list[str]:
    """Return the entries that both stores have of a study, in the first one's order.

    Raises:
        InputError: there is none, or a store's number of prompts follows from its scores.
    """
    for one in (views, others):
        if read_stopping(one, study):
            raise InputError(
                f"study {study!r} was run until decided in {one.store.path}, and two stores "
                "compare on a fixed number of prompts only: run it there without --until-decided"
            )
    known = {row["entry"] for row in others.query("study_entries", study=study)}
    names = [row["entry"] for row in views.query("study_entries", study=study)]
    if shared := [name for name in names if name in known]:
        return shared
    raise InputError(f"study {study!r} has no entry of the same name in both stores")


def shared_metrics(views: Views, others: Views, study: str) -> list[str]:
    """Return the metrics of single pictures that both stores have of a study.

    Raises:
        InputError: there is none, or the stores were scored by other versions of one.
    """
    mine, theirs = (
        {
            row["metric"]: row["metric_version"]
            for row in one.query("study_metric_versions", study=study)
        }
        for one in (views, others)
    )
    shared = [name for name in mine if name in theirs and _judges_pictures(name)]
    for name in shared:
        if mine[name] != theirs[name]:
            raise InputError(
                f"metric {name!r} has version {mine[name]} in one store and {theirs[name]} in the "
                "other: score both by the same with 'bakeoff run'"
            )
    if not shared:
        raise InputError(f"study {study!r} has no metric of single pictures in both stores")
    return shared


def _judges_pictures(metric: str) -> bool:
    try:
        return build_metric(metric).info.kind == "image"
    except InputError:  # not installed here
        return False


def meetings_between(views: Views, others: Views, study: str, metric: str) -> Iterator[Meeting]:
    """Yield what each entry of both stores has on the prompts of both, scores of `views` first."""
    mine, theirs = (
        {
            row["entry"]: _values(row)
            for row in one.query("entry_values", study=study, metric=metric)
        }
        for one in (views, others)
    )
    higher_is_better = build_metric(metric).info.higher_is_better
    for entry in shared_entries(views, others, study):
        yield _meeting(entry, metric, mine.get(entry, {}), theirs.get(entry, {}), higher_is_better)


def _values(row: Row) -> dict[Key, float]:
    keys = zip(row["prompts"], row["seed_places"], strict=True)
    return dict(zip(keys, row["values"], strict=True))


def _meeting(
    entry: str,
    metric: str,
    mine: dict[Key, float],
    theirs: dict[Key, float],
    higher_is_better: bool,
) -> Meeting:
    shared = sorted(mine.keys() & theirs.keys())
    prompts = [prompt for prompt, _ in shared]
    ours, others = (np.array([side[key] for key in shared]) for side in (mine, theirs))
    both = pairs(prompts, ours, others)
    _, index = np.unique(np.array(prompts, dtype=str), return_inverse=True)
    won = win_values(ours, others, higher_is_better=higher_is_better)
    wins, ties, losses = (
        np.bincount(index[won == outcome], minlength=len(both.ours)) for outcome in (1, 0.5, 0)
    )
    return Meeting(
        entry=entry,
        opponent=entry,
        metric=metric,
        wins=wins,
        ties=ties,
        losses=losses,
        ours=both.ours,
        theirs=both.theirs,
        is_binary=bool(shared) and bool(np.isin(np.concatenate([ours, others]), (0, 1)).all()),
        missing=len(mine.keys() ^ theirs.keys()),
    )


def same_pictures(views: Views, others: Views, study: str) -> set[str]:
    """Return the entries whose pictures are the same in both stores, pixel by pixel."""
    mine, theirs = (
        {row["entry"]: row["pixels"] for row in one.query("entry_pixels", study=study)}
        for one in (views, others)
    )
    return {entry for entry, pixels in mine.items() if pixels and pixels == theirs.get(entry)}
