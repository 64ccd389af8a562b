"""The trajectory of an entry: the traces of its samples, averaged over prompts place by place."""

from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.evaluators.statistics import Estimate, interval_of_mean
from bakeoff.platform.views import Row, Views
from bakeoff.samplers.errors import InputError, unknown

MEASURES: Mapping[str, str] = {
    "mask_ratio": "share of tokens that are unknown after the step",
    "entropy": "nats, mean over the drawn tokens",
    "divergence": "nats, mean KL divergence from the step before",
    "redrawn": "share of the drawn tokens that differential sampling redrew",
}


@dataclass(frozen=True)
class TracePoint:
    """One change of the tokens in an entry's samples; a measure without any value is absent."""

    step: int
    phase: str
    measures: Mapping[str, Estimate]


def trajectory(views: Views, study: str, entry: str | None = None) -> tuple[str, list[TracePoint]]:
    """Return an entry, by default the first that has traces, and its points in order.

    Raises:
        InputError: the study has no such entry, or there are no traces.
    """
    traced = [row["entry"] for row in views.query("traced_entries", study=study)]
    names = [row["entry"] for row in views.query("study_entries", study=study)]
    if entry is not None and entry not in names:
        raise unknown("entry", entry, names)
    chosen = entry or next(iter(traced), None)
    if chosen not in traced:
        raise InputError(
            f"{'study ' + repr(study) if entry is None else 'entry ' + repr(entry)} has no traces: "
            "write 'traces: true' in the study and run it again"
        )
    points: dict[int, list[Row]] = {}
    for row in views.query("trace_means", study=study, entry=chosen):
        points.setdefault(row["place"], []).append(row)
    return str(chosen), [_point(rows) for rows in points.values()]


def _point(rows: list[Row]) -> TracePoint:
    measures = {row["measure"]: _estimate(row) for row in rows}
    return TracePoint(rows[0]["step"], rows[0]["phase"], measures)


def _estimate(row: Row) -> Estimate:
    mean, deviation, prompts = row["mean"], row["deviation"], row["prompts"]
    interval = None if prompts < 2 else interval_of_mean(mean, deviation, prompts)
    return Estimate(mean, interval, prompts, row["samples"])
