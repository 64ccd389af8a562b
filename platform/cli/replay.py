"""`bakeoff replay STORE SAMPLE_ID`: does this machine make the same picture?"""

from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.platform.cli.listing import open_console

if TYPE_CHECKING:
    from bakeoff.platform.execution.replay import Replay


def replay(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    sample_id: Annotated[str, typer.Argument(help="Sample to make again.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help="Model to make it with.",
            show_default="the catalogue's of the sample's weights",
        ),
    ] = None,
) -> None:
    """Make one stored picture again, here, and say whether tokens and pixels are the same.

    Exit codes: 0 same pixels, 1 other ones.
    """
    from bakeoff.platform.execution.replay import replay as make_again
    from bakeoff.platform.store.store import Store

    found = make_again(Store.open(store), sample_id, model)
    console = open_console()
    console.print(_sentence(found), markup=False)
    console.print(f"stored: {found.stored_on}\nhere:   {found.made_on}", markup=False, style="dim")
    if not found.same_pixels:
        raise typer.Exit(1)


def _sentence(found: "Replay") -> str:
    if found.first_token is not None:
        step = f", at step {found.step.step} ({found.step.phase})" if found.step else ""
        return (
            f"Differs from token {found.first_token} on{step}: "
            f"{found.differing_tokens} of {found.tokens} tokens are others"
        )
    if found.same_pixels:
        return f"Same pixels, same tokens ({found.tokens})" if found.tokens else "Same pixels"
    largest = found.largest_difference
    by = (
        "the stored picture cannot be compared" if largest is None else f"by up to {largest} of 255"
    )
    alike = f"Same tokens ({found.tokens}), other pixels" if found.tokens else "Other pixels"
    return f"{alike}: {by}"
