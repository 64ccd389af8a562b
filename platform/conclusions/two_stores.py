"""One study in two stores, before and after a change: each entry against itself.

Pairs are of the same wording of a prompt and the same seed place, whatever else changed.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bakeoff.platform.conclusions.comparisons import Meeting, meeting_of
from bakeoff.platform.conclusions.outcomes import ENDLESS, Outcomes, Scores
from bakeoff.platform.queries.views import Columns, Views
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import read_stopping
from bakeoff.samplers.errors import InputError

Wording = tuple[str, str]  # prompt_id and prompt
NO_COUNTS, NO_MEANS = np.empty(0, np.int64), np.empty(0)
NO_OUTCOMES = Outcomes(
    entry="mine",
    opponent="theirs",
    above=NO_COUNTS,
    equal=NO_COUNTS,
    below=NO_COUNTS,
    ours=NO_MEANS,
    theirs=NO_MEANS,
    is_binary=False,
    missing=0,
)


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
    number_of: dict[Wording, int] = {}  # one for the same wording in both stores
    mine, theirs = (_by_entry(one, study, metric, number_of) for one in (views, others))
    for entry in shared_entries(views, others, study):
        yield _meeting(entry, metric, mine[entry], theirs[entry])


def _by_entry(
    views: Views, study: str, metric: str, number_of: dict[Wording, int]
) -> dict[str, Columns]:
    """Return each entry's prompt numbers, seed places and values; new wordings get a number."""
    found = views.columns("metric_values", study=study, metric=metric, task=None, prompt_ids=None)
    asked = views.query("prompt_places", study=study)
    numbers = np.zeros(len(asked) + 1, np.int32)  # by place, from 1
    for row in asked:
        wording = row["prompt_id"], row["prompt"]
        numbers[row["prompt_place"]] = number_of.setdefault(wording, len(number_of) + 1)
    found["prompt"] = numbers[found["prompt"]]
    entry = found.pop("entry")
    return {
        row["entry"]: {name: array[entry == row["place"]] for name, array in found.items()}
        for row in views.query("entry_places", study=study)
    }


def _meeting(entry: str, metric: str, mine: Columns, theirs: Columns) -> Meeting:
    sides = np.repeat([1, 2], [len(mine["value"]), len(theirs["value"])])
    joined = {name: np.concatenate([mine[name], theirs[name]]) for name in mine}
    scores = Scores({"mine": ENDLESS, "theirs": ENDLESS}, entry=sides, **joined)
    found = scores.of("mine", "theirs") or NO_OUTCOMES
    return meeting_of(replace(found, entry=entry, opponent=entry), metric)


def same_pictures(views: Views, others: Views, study: str) -> set[str]:
    """Return the entries whose pictures are the same in both stores, pixel by pixel."""
    mine, theirs = (
        {row["entry"]: row["pixels"] for row in one.query("entry_pixels", study=study)}
        for one in (views, others)
    )
    return {entry for entry, pixels in mine.items() if pixels and pixels == theirs.get(entry)}
