"""`bakeoff show STORE`: the pictures themselves, on one sheet."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.samplers.errors import InputError


def show(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("contact-sheet.png"),
    prompts: Annotated[int, typer.Option(min=1, help="Number of prompts, one a row.")] = 12,
    study: Annotated[
        str | None, typer.Option(help="Study to show; default: the one run last.")
    ] = None,
) -> None:
    """Write a contact sheet: rows are prompts, columns are entries."""
    from bakeoff.platform.conclusions.leaderboard import choose_study
    from bakeoff.platform.export.contact_sheet import contact_sheet
    from bakeoff.platform.queries.views import open_views

    if out.suffix.lower() != ".png":
        raise InputError(f"--out {str(out)!r} must end in .png")
    views = open_views(store)
    sheet = contact_sheet(views, choose_study(views, study), prompts)
    try:
        sheet.save(out)
    except OSError as error:
        raise InputError(f"--out {str(out)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"Wrote {out} ({sheet.width} x {sheet.height})")
