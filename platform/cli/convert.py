"""`bakeoff convert`: pickled or flax weights to safetensors, once."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def convert(
    source: Annotated[
        Path, typer.Argument(help="A file of weights, or a checkpoint folder.", metavar="PATH")
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="What to write.", show_default="beside it: X.safetensors, X-safetensors"),
    ] = None,
) -> None:
    """Convert official weights to safetensors; a file that needs code to run is refused."""
    from bakeoff.samplers.conversion import convert as write

    console = open_console()
    for old, new in write(source, output):
        console.print(f"{old} → {new}", markup=False)
