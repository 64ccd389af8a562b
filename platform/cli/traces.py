"""`bakeoff traces STORE`: how an entry's pictures came about, step by step."""

from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def traces(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    entry: Annotated[
        str | None,
        typer.Option(help="Entry to show, MODEL/RECIPE; default: the first with traces."),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Study to show; default: the one run last.")
    ] = None,
) -> None:
    """Show the mean trace of an entry: mask ratio, entropy, divergence, redrawn tokens by step."""
    from bakeoff.platform.conclusions.leaderboard import choose_study
    from bakeoff.platform.conclusions.trajectory import trajectory
    from bakeoff.platform.queries.views import open_views
    from bakeoff.platform.tables.trajectory_table import render

    views = open_views(store)
    chosen = choose_study(views, study)
    name, points = trajectory(views, chosen, entry)
    open_console().print(render(f"Study {chosen}, trace of {name}", points))
