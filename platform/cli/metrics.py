"""`bakeoff metrics`: what a study may name."""

from bakeoff.platform.cli.listing import Item, items_of, print_items
from bakeoff.platform.studies.metrics import METRICS, MetricEntry, build_metric

SCOPES = {"image": "scores each picture", "set": "compares sets of pictures"}


def metrics() -> None:
    """List the metrics that a study may name."""
    print_items("Metrics. In a study: `metrics: [NAME, NAME]`.", items_of(METRICS, _item))


def _item(name: str, entry: MetricEntry) -> Item:
    info = build_metric(name).info
    better = "higher is better" if info.higher_is_better else "lower is better"
    facts = (SCOPES[info.kind], info.unit, better, f"needs {info.needs}")
    return Item(name, info.sentence, " · ".join((*facts, f"version {info.version}")))
