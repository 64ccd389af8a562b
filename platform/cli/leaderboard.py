"""`bakeoff leaderboard STORE`: who wins, how sure that is, and at what cost."""

import json
from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console
from bakeoff.samplers.errors import InputError


def leaderboard(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    study: Annotated[
        str | None, typer.Option(help="Study to show; default: the one run last.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Metric that decides the win rates; default: the study's first."),
    ] = None,
    equivalent: Annotated[
        float | None,
        typer.Option(help="Margin of win rates that do not matter: 0.02 for 48..52 %."),
    ] = None,
    equal: Annotated[
        str | None,
        typer.Option(
            metavar="steps|compute", help="Rank entries of equal steps or compute by themselves."
        ),
    ] = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="Show each task, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the standings of a study: means with intervals, paired win rates, costs."""
    from bakeoff.platform.conclusions.equal_terms import check_terms, group_entries, groups_as_json
    from bakeoff.platform.conclusions.leaderboard import leaderboard as build
    from bakeoff.platform.queries.views import open_views
    from bakeoff.platform.tables.leaderboard_table import render, render_groups

    terms = check_terms(equal) if equal else None
    if terms and tasks:
        raise InputError("--tasks cannot combine with --equal: tasks are shown of all entries")
    views = open_views(store)
    board = build(views, study, metric, equivalent)
    groups = group_entries(views, board, terms) if terms else []
    if as_json:
        plain = groups_as_json(board, groups) if terms else board.as_json()
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    shown = render_groups(board, groups, terms) if terms else render(board, by_task=tasks)
    open_console().print(shown)
