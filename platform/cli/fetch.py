"""`bakeoff fetch MODEL`: a model's files from the Hugging Face hub, or from a folder."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def fetch(
    model: Annotated[str, typer.Argument(help="A model of `bakeoff models`.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of files that are on this machine already."),
    ] = None,
) -> None:
    """Download the files of a model, with the hash of each checked, for studies to name it."""
    from bakeoff.samplers.errors import InputError, unknown
    from bakeoff.samplers.fetching import fetch as download
    from bakeoff.samplers.fetching import fetched_files, take
    from bakeoff.samplers.models import MODELS

    console = open_console()
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    entry = MODELS[model]
    if entry.location:
        raise InputError(f"model {model!r} ships with Bakeoff: there is nothing to fetch")
    if source is not None:
        files = take(entry, source)
    elif not (files := fetched_files(entry)):
        files = download(entry, lambda line: console.print(line, markup=False))
    for file in files:
        origin = f"{file.place} at {file.commit[:12]}" if file.commit else "a local copy"
        size = f"{file.size_bytes / 1e6:,.1f} MB"
        console.print(f"  {file.file}  {size}  sha256 {file.sha256[:12]}  {origin}", markup=False)
    console.print(f"{model} is in {entry.folder}", markup=False)
