"""`bakeoff gate STORE --baseline STORE`: fails people's CI if pictures or costs got worse."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.platform.cli.listing import open_console

if TYPE_CHECKING:
    from bakeoff.platform.conclusions.regression import Gate

EXIT_CODES = {"passed": 0, "regressed": 1, "undecided": 3}


def gate(
    store: Annotated[str, typer.Argument(help="Folder or bucket of the study to be judged.")],
    baseline: Annotated[str, typer.Option(help="Store of the same study that is to be held.")],
    equivalent: Annotated[
        float, typer.Option(help="Loss of a metric's mean that does not matter, in its unit.")
    ],
    max_latency: Annotated[
        str | None, typer.Option(metavar="+5%", help="Growth of s/image that is allowed.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="+5%", help="Growth of peak memory that is allowed.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to judge by; default: all of pictures.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Study to judge; default: the one run last.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a study against that of a baseline store, entry by entry.

    Exit codes: 0 all passed, 1 something regressed, 2 wrong input, 3 too few prompts to tell.
    """
    from bakeoff.platform.conclusions.regression import Limits, growth
    from bakeoff.platform.conclusions.regression import gate as build
    from bakeoff.platform.queries.views import open_views

    limits = Limits(
        equivalent,
        None if max_latency is None else growth(max_latency, "--max-latency"),
        None if max_memory is None else growth(max_memory, "--max-memory"),
    )
    found = build(
        open_views(store), open_views(baseline), limits, study=study, metrics=metric or ()
    )
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)
    raise typer.Exit(EXIT_CODES[found.state])


def _show(found: "Gate") -> None:
    from bakeoff.platform.tables.regression_table import sentence, table_of

    console = open_console()
    console.print(table_of(found))
    console.print()
    console.print(sentence(found), markup=False)
