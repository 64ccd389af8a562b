"""What an entry's quality costs: time by stage, memory, compute, energy; fronts and speed-ups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bakeoff.evaluators.efficiency import Ratio, on_front, speed_up
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import Comparison, compared, meetings
from bakeoff.platform.conclusions.equal_terms import baseline_of
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.conclusions.outcomes import Scores, scores_of
from bakeoff.platform.queries.views import Views

STAGES = ("text", "network", "draw", "decode", "encode", "score", "write")  # as a picture passes


@dataclass(frozen=True)
class StageTime:
    """Seconds an image of a stage, as percentiles over batches."""

    entry: str
    stage: str
    is_typical: bool  # False: only first or traced batches were measured, which are slower
    batches: int
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Cost:
    """What an image of an entry costs; seconds are those of text, network, drawing, decoding."""

    entry: str
    is_typical: bool
    batch_size: int | None
    device: str | None
    seconds: tuple[float, ...]  # by batch, the shortest first
    p50: float
    p90: float
    p99: float
    joules: float | None  # of the GPU, the median batch's
    peak_memory_bytes: int | None
    peak_allocated_bytes: int | None  # what tensors took of it; None on a CPU
    memory_kind: str | None

    @property
    def circumstances(self) -> str:
        """Within what times, memory and energy compare."""
        size = "" if self.batch_size is None else f", up to {self.batch_size} images a batch"
        return f"{self.device or 'unknown device'}{size}"


@dataclass(frozen=True)
class Axis:
    """A cost that quality is drawn against; entries compare within their `group`."""

    title: str
    value: Callable[[Standing, Cost | None], float | None]
    group: Callable[[Standing, Cost | None], str]


@dataclass(frozen=True)
class Spot:
    """An entry between a cost and a quality."""

    entry: str
    model: str
    recipe: str
    cost: float
    quality: Estimate
    is_on_front: bool


@dataclass(frozen=True)
class Memory:
    """The highest peak of a model's batches in one precision, over its entries."""

    model: str
    precision: str  # of the transformer
    entries: int
    peak_bytes: int
    allocated_bytes: int | None  # what tensors took of it; None on a CPU
    kind: str | None
    circumstances: str


@dataclass(frozen=True)
class SpeedUp:
    """How much faster an entry is than its model's baseline, and whether it is as good."""

    entry: str
    baseline: str
    ratio: Ratio | None
    batches: int
    baseline_batches: int
    comparison: Comparison | None  # corrected for all of them together


def _circumstances(standing: Standing, cost: Cost | None) -> str:
    return cost.circumstances if cost else ""


def _memory_group(standing: Standing, cost: Cost | None) -> str:
    return f"{cost.circumstances}, {cost.memory_kind}" if cost else ""


AXES: Mapping[str, Axis] = {
    "latency": Axis("seconds an image", lambda _, cost: cost.p50 if cost else None, _circumstances),
    "memory": Axis(
        "peak memory, 10⁶ bytes",
        lambda _, cost: cost.peak_memory_bytes / 1e6 if cost and cost.peak_memory_bytes else None,
        _memory_group,
    ),
    "compute": Axis(
        "row-evaluations an image",
        lambda standing, _: standing.row_evaluations,
        lambda standing, _: standing.model,
    ),
    "energy": Axis(
        "joules an image", lambda _, cost: cost.joules if cost else None, _circumstances
    ),
}


def stage_times(views: Views, study: str) -> list[StageTime]:
    """Return what each stage of each entry takes, in the order of the study and of the stages."""
    rows = views.query("latency", study=study)
    order = list(dict.fromkeys(row["entry"] for row in rows))
    found = [StageTime(**row) for row in rows if row["stage"] in STAGES]
    return sorted(found, key=lambda one: (order.index(one.entry), STAGES.index(one.stage)))


def costs(views: Views, study: str) -> dict[str, Cost]:
    """Return the cost of each entry that was measured."""
    rows = views.query("entry_costs", study=study)
    return {row["entry"]: Cost(**row | {"seconds": tuple(row["seconds"])}) for row in rows}


def fronts(
    views: Views, board: Leaderboard, found: Mapping[str, Cost], info: MetricInfo, axis: Axis
) -> dict[str, list[Spot]]:
    """Return entries that have both a score and a cost, by what they compare within.

    Cheapest first; the front is that of the values, whatever their intervals: of single pictures
    those of the prompts and seeds that all of them have, if there are any.
    """
    scores = scores_of(views, board.study, info.name) if info.kind == "image" else None
    groups: dict[str, list[Standing]] = {}
    for standing in board.standings:
        cost = found.get(standing.entry)
        if info.name in standing.scores and axis.value(standing, cost) is not None:
            groups.setdefault(axis.group(standing, cost), []).append(standing)
    return {
        name: _spots(standings, found, scores, info, axis)
        for name, standings in sorted(groups.items())
    }


def _spots(
    standings: list[Standing],
    found: Mapping[str, Cost],
    paired: Scores | None,
    info: MetricInfo,
    axis: Axis,
) -> list[Spot]:
    spent = [axis.value(one, found.get(one.entry)) or 0.0 for one in standings]
    scores = [one.scores[info.name] for one in standings]
    qualities = [score.value for score in scores]
    if paired and len(met := paired.common([one.entry for one in standings]).means):
        qualities = met.mean(axis=0).tolist()
    front = on_front(qualities, spent, higher_is_better=info.higher_is_better)
    spots = [
        Spot(one.entry, one.model, one.recipe, cost, score, bool(best))
        for one, cost, score, best in zip(standings, spent, scores, front, strict=True)
    ]
    return sorted(spots, key=lambda spot: spot.cost)


def memory_by_precision(board: Leaderboard, found: Mapping[str, Cost]) -> list[Memory]:
    """Return the memory of each model and precision of a study, in its order."""
    measured: dict[tuple[str, str, str], list[Cost]] = {}
    for standing in board.standings:
        cost = found.get(standing.entry)
        if cost and cost.peak_memory_bytes is not None:
            precision = f"{standing.dtype or 'unknown'}{', compiled' if standing.compiled else ''}"
            key = (standing.model, precision, cost.circumstances)
            measured.setdefault(key, []).append(cost)
    return [
        Memory(
            model=model,
            precision=precision,
            entries=len(own),
            peak_bytes=max(cost.peak_memory_bytes or 0 for cost in own),
            allocated_bytes=max(cost.peak_allocated_bytes or 0 for cost in own) or None,
            kind=own[0].memory_kind,
            circumstances=circumstances,
        )
        for (model, precision, circumstances), own in measured.items()
    ]


def model_baselines(board: Leaderboard) -> dict[str, str]:
    """Return by entry whom of its model to compare it with; the study's baseline, or the like.

    Other weights are another model. A model's baseline itself has nobody.
    """
    models: dict[tuple[str, str], list[Standing]] = {}
    for standing in board.standings:
        models.setdefault((standing.model, standing.weights_hash), []).append(standing)
    found: dict[str, str] = {}
    for members in models.values():
        baseline = baseline_of(board, members)
        found |= {one.entry: baseline for one in members if one.entry != baseline}
    return found


def speed_ups(
    views: Views,
    board: Leaderboard,
    found: Mapping[str, Cost],
    metric: str | None,
    equivalent: float | None,
) -> list[SpeedUp]:
    """Return each entry's speed beside its model's baseline, in the study's order.

    With a metric of single pictures it is also compared in quality: `equivalent` is the margin of
    win rates within which two are as good. Times compare on the same device and batch size only,
    and those of first batches, which pay the warm-up, with none.
    """
    baselines = model_baselines(board)
    judged: dict[str, Comparison] = {}
    if metric is not None:
        met = [
            one
            for baseline in dict.fromkeys(baselines.values())
            for one in meetings(views, board.study, metric, opponent=baseline)
            if baselines.get(one.entry) == baseline
        ]
        judged = {one.entry: one for one in compared(met, equivalent)}
    return [
        _speed_up(found.get(entry), found.get(baseline), entry, baseline, judged.get(entry))
        for entry, baseline in baselines.items()
    ]


def _speed_up(
    own: Cost | None, theirs: Cost | None, entry: str, baseline: str, judged: Comparison | None
) -> SpeedUp:
    ours = np.array(own.seconds if own else ())
    base = np.array(theirs.seconds if theirs else ())
    alike = own and theirs and own.circumstances == theirs.circumstances
    typical = own and theirs and own.is_typical and theirs.is_typical
    ratio = speed_up(base, ours) if alike and typical else None
    return SpeedUp(entry, baseline, ratio, len(ours), len(base), judged)
