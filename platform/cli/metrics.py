"""`bakeoff metrics`: what a study may name."""

from rich.console import Console
from rich.table import Table

from bakeoff.platform.metrics import METRICS, build_metric


def metrics() -> None:
    """List the metrics that a study may name."""
    table = Table(title="Metrics: `metrics: [NAME, …]` in a study")
    for heading in ("name", "version", "of one", "better", "unit", "needs", "what it says"):
        table.add_column(heading, overflow="fold")
    for name in METRICS:
        info = build_metric(name).info
        better = "higher" if info.higher_is_better else "lower"
        table.add_row(name, info.version, info.kind, better, info.unit, info.needs, info.sentence)
    Console().print(table)
