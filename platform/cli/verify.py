"""`bakeoff verify STORE`: is everything in it what it says it is?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bakeoff.platform.cli.listing import open_console

if TYPE_CHECKING:
    from bakeoff.platform.execution.rescore import Drift

DIGITS = 3  # of a difference between scores


def verify(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    rescore: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Score N samples once more and tell the drift."),
    ] = 0,
) -> None:
    """Check every row and pixel of a store; broken parts go to STORE/quarantine, to be made again.

    Exit codes: 0 sound, 1 something was found.
    """
    from bakeoff.platform.execution.progress import lacks
    from bakeoff.platform.execution.rescore import rescore as score_again
    from bakeoff.platform.store.store import Store
    from bakeoff.platform.store.verify import verify as check

    verdict = check(store)
    console = open_console()
    held = ", ".join(f"{count} {table}" for table, count in verdict.rows.items() if count)
    console.print(f"{store} holds {held or 'nothing'}", markup=False)
    for finding in verdict.findings:
        console.print(f"• {finding}", markup=False)
    drifts: list[Drift] = []
    if all(finding.action != "left" for finding in verdict.findings):  # else it cannot be read
        opened = Store.open(store)
        for lack in lacks(opened):
            console.print(
                f"Study {lack.study} lacks {lack.samples} of {lack.planned} samples and "
                f"{lack.scores} scores: the next run of it into this store makes them",
                markup=False,
            )
        drifts = score_again(opened, rescore) if rescore else []
        _tell(drifts, console)
    if not verdict.is_sound or any(drift.is_drift for drift in drifts):
        raise typer.Exit(1)
    console.print("Sound: every picture has the pixels that its hash says")


def _tell(drifts: "Sequence[Drift]", console: Console) -> None:
    for drift in drifts:
        equal = drift.differences.count(0.0)
        largest = max(drift.differences, default=0.0)
        version = f"version {drift.stored_version}"
        if drift.version != drift.stored_version:
            version += f", here {drift.version}"
        failed = f", {drift.failed} could not be scored here" if drift.failed else ""
        console.print(
            f"{'Drift' if drift.is_drift else 'Rescored'}: {drift.metric} ({version}) scored on "
            f"{drift.stored_device}, again on {drift.device}: {equal} of "
            f"{len(drift.differences)} equal, largest difference {largest:.{DIGITS}g}{failed}",
            markup=False,
        )
