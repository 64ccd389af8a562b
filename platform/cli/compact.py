"""`bakeoff compact STORE`: few large parts in the place of many small ones."""

from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console

MEGABYTE = 1_000_000


def compact(
    store: Annotated[str, typer.Argument(help="Folder or bucket that studies were run into.")],
) -> None:
    """Join small parts into parts of 32 MB and more; may be killed and repeated at any time."""
    from bakeoff.platform.store.compact import compact as join
    from bakeoff.platform.store.store import Store

    console = open_console()
    for one in join(Store.open(store)):
        if one.parts_before:
            size = f"{one.size_bytes / MEGABYTE:.1f} MB"
            parts = f"{one.parts_before} parts are now {one.parts_after}"
            console.print(f"{one.table}: {parts} ({size})", markup=False)
