"""The metrics that a study may name, each wired to what it needs of the embedded world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff.evaluators.composition import Composition
from bakeoff.evaluators.metric import Metric, MetricInfo
from bakeoff.platform.studies.benchmarks import Benchmark
from bakeoff.samplers import tiny
from bakeoff.samplers.errors import InputError, shown, unknown
from bakeoff.samplers.plugins import Registry, spelled
from bakeoff.samplers.tiny.detector import detect
from bakeoff.samplers.tiny.grammar import holds

TINY_CLIP = Path(tiny.__path__[0]) / "weights" / "clip"


@dataclass(frozen=True)
class MetricEntry:
    """How a metric is made, and what a benchmark must bring for it; `build` takes a device."""

    build: Callable[[str], Metric]
    needs_expectations: bool = False
    needs_pictures: bool = False


def _composition(device: str) -> Metric:
    return Composition(detect, holds)


# The encoder is imported where it is needed: transformers takes seconds to load.
def _clip_score(device: str) -> Metric:
    from bakeoff.evaluators.clip_score import ClipScore

    return ClipScore(TINY_CLIP, device=device)


def _kid_tiny_clip(device: str) -> Metric:
    from bakeoff.evaluators.clip_encoder import load_encoder
    from bakeoff.evaluators.fidelity import KernelDistance

    encoder = load_encoder(TINY_CLIP, device)
    return KernelDistance(
        encoder.images,
        extractor="tiny_clip",
        version=f"1-{encoder.weights_hash[:12]}",
        preprocessing=encoder.preprocessing,
    )


_OWN = {
    "composition": MetricEntry(_composition, needs_expectations=True),
    "clip_score": MetricEntry(_clip_score),
    "kid_tiny_clip": MetricEntry(_kid_tiny_clip, needs_pictures=True),
}
METRICS = Registry("metric", MetricEntry, _OWN)


def build_metric(name: str, device: str = "cpu") -> Metric:
    """Return a metric ready to score; its networks are loaded at first use.

    Raises:
        InputError: the name is unknown, the metric's weights are missing, or it is another
            package's and wrong.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    entry = METRICS[name]
    try:
        metric = entry.build(device)
        _check_info(name, metric.info)
    except ValueError as error:
        raise InputError(f"metric {name!r} cannot be built: {error}") from error
    except Exception as error:  # another package's
        raise InputError(f"metric {name!r} cannot be built ({spelled(error)})") from error
    return metric


def _check_info(name: str, info: MetricInfo) -> None:
    """Check what scores are stored under and joined by."""
    if not isinstance(info, MetricInfo):
        raise ValueError(f"its info must be a MetricInfo, got {shown(info)}")
    if info.name != name:
        raise ValueError(f"it calls itself {shown(info.name)}: both names must be the same")


def check_metrics(names: Sequence[str], benchmark: str, entry: Benchmark | None) -> None:
    """Check that a benchmark brings what metrics need; None stands for prompts alone.

    Raises:
        InputError: a name is unknown or comes twice, or the benchmark lacks something.
    """
    for place, name in enumerate(names):
        if name not in METRICS:
            raise unknown(f"metrics[{place}]", name, METRICS)
        if name in names[:place]:
            raise InputError(f"metrics[{place}] {name!r} is named twice: name each metric once")
        if missing := lacks(METRICS[name], entry):
            known = [(other, METRICS.find(other)) for other in METRICS]
            able = [other for other, found in known if found and not lacks(found, entry)]
            raise InputError(
                f"metrics[{place}] {name!r} needs {missing}, which benchmark {benchmark!r} has "
                f"not; it can take {', '.join(able)}"
            )


def lacks(metric: MetricEntry, benchmark: Benchmark | None) -> str | None:
    """Return what a metric needs that a benchmark has not; None if it can judge it."""
    if metric.needs_expectations and not (benchmark and benchmark.has_expectations):
        return "expectations"
    if metric.needs_pictures and not (benchmark and benchmark.pictures):
        return "reference pictures"
    return None
