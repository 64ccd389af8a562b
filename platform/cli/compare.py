"""`bakeoff compare`: two entries of a store, or the same entries in two stores."""

import json
from typing import Annotated

import typer

from bakeoff.platform.cli.listing import open_console


def compare(
    store: Annotated[str, typer.Argument(help="Folder or bucket of a study.")],
    first: Annotated[
        str, typer.Argument(help="Entry, as model/recipe; alone, another store of the study.")
    ],
    second: Annotated[str | None, typer.Argument(help="Entry to compare the first with.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric to compare on; default: all of single pictures.")
    ] = None,
    equivalent: Annotated[
        float | None,
        typer.Option(help="Margin of win rates that do not matter: 0.02 for 48..52 %."),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Study to compare in; default: the one run last.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two entries on the same prompts: `STORE A B`; or two stores entry by entry: `A B`."""
    from bakeoff.platform.conclusions.head_to_head import entries_head_to_head, stores_head_to_head
    from bakeoff.platform.queries.views import open_views
    from bakeoff.platform.tables.head_to_head_table import render

    views = open_views(store)
    if second is None:
        others = open_views(first)
        found = stores_head_to_head(
            views, others, study=study, metric=metric, equivalent=equivalent
        )
    else:
        found = entries_head_to_head(
            views, first, second, study=study, metric=metric, equivalent=equivalent
        )
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        open_console().print(render(found))
