"""`bakeoff export STORE DIR --to FORMAT`: a store for other programs."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write, new or empty.")],
    to: Annotated[str, typer.Option(metavar="csv|latex|html|datasets", help="What to write.")],
    study: Annotated[
        str | None, typer.Option(help="Study of the leaderboard; default: the one run last.")
    ] = None,
) -> None:
    """Write tables as CSV, the leaderboard as LaTeX or HTML, or a Hugging Face dataset."""
    from bakeoff.platform.export.export import export as write
    from bakeoff.platform.store.store import Store

    write(Store.open(store), to, folder, study)
    typer.echo(f"Wrote {folder}")
