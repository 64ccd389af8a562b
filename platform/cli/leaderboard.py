"""`bakeoff leaderboard STORE`: who wins, how sure that is, and at what cost."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def leaderboard(
    store: Annotated[Path, typer.Argument(help="Folder that a study was run into.")],
    study: Annotated[
        str | None, typer.Option(help="Study to show; default: the one run last.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Metric that decides the win rates; default: the study's first."),
    ] = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="Show each task, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the standings of a study: means with intervals, paired win rates, costs."""
    from bakeoff.platform.leaderboard import leaderboard as build
    from bakeoff.platform.leaderboard_table import render
    from bakeoff.platform.views import open_views

    board = build(open_views(store), study, metric)
    if as_json:
        typer.echo(json.dumps(board.as_json(), indent=2, ensure_ascii=False))
        return
    open_console().print(render(board, by_task=tasks))
