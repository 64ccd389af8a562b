"""`bakeoff report STORE`: a study as one HTML file that needs no other."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.samplers.errors import InputError


def report(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    study: Annotated[
        str | None, typer.Option(help="Study to report; default: the one run last.")
    ] = None,
    output: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
) -> None:
    """Write tables, charts, pictures, recipes, and the SQL of each number into one HTML file."""
    from bakeoff.platform.report import report as build
    from bakeoff.platform.store.store import Store

    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output {str(output)!r} must end in .html")
    page = build(Store.open(store), study)
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output {str(output)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"Wrote {output} ({len(page.encode()) / 1e6:.1f} MB)")
