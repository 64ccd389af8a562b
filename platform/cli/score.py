"""`bakeoff score --images DIR`: pictures of any generator, judged as those of a study."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from bakeoff.platform.cli.listing import open_console
from bakeoff.platform.cli.run import STORES, complete

NAMED_SO = re.compile(r"[^A-Za-z0-9._-]+")


def score(
    images: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of finished pictures with a metadata.jsonl, a line each."
        ),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Metrics to judge by.",
            show_default="Bakeoff's own that the folder can be judged by",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Folder of the results, or s3://BUCKET/FOLDER.",
            show_default="./bakeoff-store/NAME",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the study.", show_default="the folder's")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="ENTRY",
            help="Entry that the others are compared with.",
            show_default="the first",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures judged at once.")] = 16,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes to plan for.", show_default="one a GPU, else one a core"
        ),
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="What metrics run on.", show_default="cuda if a GPU is up, else cpu"),
    ] = None,
    retry_failures: Annotated[
        bool,
        typer.Option("--retry-failures", help="Try again what metrics gave up in earlier runs."),
    ] = False,
) -> None:
    """Score a folder of finished pictures; what is in the store already is left alone."""
    from bakeoff.platform.execution.finished import read_finished, take_in
    from bakeoff.platform.execution.run import prepare
    from bakeoff.platform.store.store import Store

    console = open_console()
    named = name or NAMED_SO.sub("-", images.resolve().name).strip("-._") or "images"
    asked = [one.strip() for one in metrics.split(",")] if metrics else []
    finished = read_finished(images, named, asked, baseline)
    place = store or str(STORES / named)
    opened = Store.open_or_plan(place)
    with console.status("Reading pictures"):
        take_in(finished, opened)
    work = prepare(finished.study, opened, batch_size, retry_failures=retry_failures)
    complete(work, place, console, workers, device)
