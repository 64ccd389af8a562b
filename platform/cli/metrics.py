"""`bakeoff metrics`: what a study may name."""

from collections.abc import Iterator

from bakeoff.platform.cli.listing import Item, print_items
from bakeoff.platform.metrics import METRICS, build_metric

SCOPES = {"image": "scores each picture", "set": "compares sets of pictures"}


def metrics() -> None:
    """List the metrics that a study may name."""
    print_items("Metrics. In a study: `metrics: [NAME, NAME]`.", _items())


def _items() -> Iterator[Item]:
    for name in METRICS:
        info = build_metric(name).info
        better = "higher is better" if info.higher_is_better else "lower is better"
        facts = (SCOPES[info.kind], info.unit, better, f"needs {info.needs}")
        yield Item(name, info.sentence, " · ".join((*facts, f"version {info.version}")))
