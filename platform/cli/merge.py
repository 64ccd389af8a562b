"""`bakeoff merge A B`: one store of two."""

from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def merge(
    into: Annotated[str, typer.Argument(metavar="A", help="Store that takes up the other.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Store that is read.")],
) -> None:
    """Write into store A what store B has more; B stays as it is, and nothing is doubled."""
    from bakeoff.platform.store.merge import merge as join
    from bakeoff.platform.store.store import Store

    result = join(Store.open(into), Store.open(other))
    console = open_console()
    for one in result.tables:
        if one.added or one.known or one.left_out:
            left_out = f", {one.left_out} left out" if one.left_out else ""
            text = f"{one.table}: {one.added} rows added, {one.known} there already{left_out}"
            console.print(text, markup=False)
    if result.differing:
        console.print(
            f"{len(result.differing)} samples are of other pixels in {other}, as another device or "
            f"version makes them: those of {into} stay, and what belongs to the others is left out",
            markup=False,
        )
