"""`bakeoff models`: what a study may name."""

from rich.console import Console
from rich.table import Table


def models() -> None:
    """List the models that a study may name."""
    from bakeoff.samplers.catalog import MODELS

    table = Table(title="Models: `model: NAME` in a study, or `path: FOLDER` for one of your own")
    for heading in ("name", "family", "pixels", "licence", "default recipe", "what it is"):
        table.add_column(heading, overflow="fold")
    for name, entry in MODELS.items():
        table.add_row(
            name,
            entry.family,
            str(entry.resolution),
            entry.licence,
            str(entry.recipe),
            entry.description,
        )
    Console().print(table)
