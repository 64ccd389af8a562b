"""`bakeoff verify STORE`: is everything in it what it says it is?"""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def verify(
    store: Annotated[Path, typer.Argument(help="Folder that a study was run into.")],
) -> None:
    """Check every row and pixel of a store; broken parts go to STORE/quarantine, to be made again.

    Exit codes: 0 sound, 1 something was found.
    """
    from bakeoff.platform.progress import lacks
    from bakeoff.platform.store import Store
    from bakeoff.platform.verify import verify as check

    verdict = check(store)
    console = open_console()
    held = ", ".join(f"{count} {table}" for table, count in verdict.rows.items() if count)
    console.print(f"{store} holds {held or 'nothing'}", markup=False)
    for finding in verdict.findings:
        console.print(f"• {finding}", markup=False)
    if all(finding.action != "left" for finding in verdict.findings):  # else it cannot be read
        for lack in lacks(Store.open(store)):
            console.print(
                f"Study {lack.study} lacks {lack.samples} of {lack.planned} samples and "
                f"{lack.scores} scores: the next `bakeoff run` of it into this store makes them",
                markup=False,
            )
    if not verdict.is_sound:
        raise typer.Exit(1)
    console.print("Sound: every picture has the pixels that its hash says")
