"""How pictures came about: traces averaged over prompts place by place, and where two part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakeoff.evaluators.statistics import Estimate, interval_of_mean
from bakeoff.platform.queries.views import Row, Views
from bakeoff.samplers.errors import InputError, unknown

MEASURES: Mapping[str, str] = {
    "mask_ratio": "share of tokens that are unknown after the step",
    "revealed": "share of tokens that became known by the step",
    "entropy": "nats, mean over the drawn tokens",
    "divergence": "nats, mean KL divergence from the step before",
    "redrawn": "share of the drawn tokens that differential sampling redrew",
}
DIFFERENCES: Mapping[str, str] = {
    "differ": "share of tokens that are not the same, an unknown one being other than any known",
    "conflict": "share of the tokens known to both that are not the same",
}
PAIRS = 100  # of pictures, that two entries are looked at for where they part


@dataclass(frozen=True)
class TracePoint:
    """One change of the tokens in an entry's samples; a measure without any value is absent."""

    place: int  # from 0
    step: int
    phase: str
    measures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Parting:
    """How two entries part on pictures of same prompt and seed place.

    `steps` holds by step what `DIFFERENCES` names; `first` is the first step after which tokens
    differ, over the pairs that ever do, and None if none does.
    """

    pairs: int
    parted: int
    first: Estimate | None
    steps: Mapping[int, Mapping[str, Estimate]]


def traced_entries(views: Views, study: str) -> list[str]:
    """Return the entries of a study that have traces, in its own order."""
    return [row["entry"] for row in views.query("traced_entries", study=study)]


def trajectory(views: Views, study: str, entry: str | None = None) -> tuple[str, list[TracePoint]]:
    """Return an entry, by default the first that has traces, and its points in order.

    Raises:
        InputError: the study has no such entry, or there are no traces.
    """
    traced = traced_entries(views, study)
    names = [row["entry"] for row in views.query("study_entries", study=study)]
    if entry is not None and entry not in names:
        raise unknown("entry", entry, names)
    chosen = entry or next(iter(traced), None)
    if chosen not in traced:
        raise InputError(
            f"{'study ' + repr(study) if entry is None else 'entry ' + repr(entry)} has no traces: "
            "write 'traces: true' in the study and run it again"
        )
    return str(chosen), trajectories(views, study, [str(chosen)])[str(chosen)]


def trajectories(views: Views, study: str, entries: Sequence[str]) -> dict[str, list[TracePoint]]:
    """Return the points of entries in order; of one without traces, none."""
    places: dict[str, dict[int, list[Row]]] = {entry: {} for entry in entries}
    for row in views.query("trace_means", study=study, entries=list(entries)):
        places[row["entry"]].setdefault(row["place"], []).append(row)
    return {entry: [_point(rows) for rows in found.values()] for entry, found in places.items()}


def parting(views: Views, study: str, entry: str, opponent: str) -> Parting:
    """Return how two entries of one model part, on the first pairs that both have."""
    steps: dict[int, dict[str, Estimate]] = {}
    first: Estimate | None = None
    rows = views.query("partings", study=study, entry=entry, opponent=opponent, pairs=PAIRS)
    for row in rows:
        if row["step"] is None:
            first = _estimate(row)
        else:
            steps.setdefault(row["step"], {})[row["measure"]] = _estimate(row)
    pairs = max((found["differ"].samples for found in steps.values()), default=0)
    return Parting(pairs, first.samples if first else 0, first, steps)


def _point(rows: list[Row]) -> TracePoint:
    measures = {row["measure"]: _estimate(row) for row in rows}
    return TracePoint(rows[0]["place"], rows[0]["step"], rows[0]["phase"], measures)


def _estimate(row: Row) -> Estimate:
    mean, deviation, prompts = row["mean"], row["deviation"], row["prompts"]
    interval = None if prompts < 2 else interval_of_mean(mean, deviation, prompts)
    return Estimate(mean, interval, prompts, row["samples"])
