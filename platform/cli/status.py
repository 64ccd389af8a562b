"""`bakeoff status STORE`: how far its studies have come, asked from any machine."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bakeoff.platform.cli.listing import open_console

if TYPE_CHECKING:
    from bakeoff.platform.execution.status import Status, WorkerStatus


def status(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study is run into.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is done, running and failed of each study, its speed, and each worker's."""
    from bakeoff.platform.execution.status import status as read
    from bakeoff.platform.store.store import Store

    studies = read(Store.open(store))
    if as_json:
        typer.echo(json.dumps([asdict(study) for study in studies], indent=2, ensure_ascii=False))
        return
    console = open_console()
    if not studies:
        console.print(f"{store} holds no run", markup=False)
    for study in studies:
        _show(study, console)


def _show(study: "Status", console: Console) -> None:
    from bakeoff.platform.tables.folding_table import Column, FoldingTable, Line

    console.print(f"Study {study.study}: {study.state} (run {study.run_id})", markup=False)
    console.print(
        f"  {study.planned} images planned, {study.made} made, {study.scored} scored, "
        f"{study.running} at work, {study.failed} failed",
        markup=False,
    )
    if study.images_per_second:
        left = study.seconds_left
        still = f", {timedelta(seconds=round(left))} left" if left is not None else ""
        speed = _number(study.images_per_second)
        console.print(f"  {speed} images a second{still}", markup=False)
    if not study.workers:
        return
    lines = [Line(one.worker, f"{one.stage}, {one.device}") for one in study.workers]
    columns = [
        Column("images", [(str(one.images), "") for one in study.workers]),
        Column("a second", [(_number(one.images_per_second), "") for one in study.workers]),
        Column("at work", [(str(one.at_work), "") for one in study.workers]),
        Column("failed", [(str(one.failed), "") for one in study.workers]),
        Column(
            "silent, s",
            [(f"{one.silent_seconds:.0f}", _alive(one)) for one in study.workers],
        ),
    ]
    console.print(FoldingTable("", lines, columns, "worker"))
    for one in study.workers:
        if one.ended:
            console.print(f"  {one.worker} {one.ended} at shard {one.shard_id}", markup=False)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _alive(worker: "WorkerStatus") -> str:
    return "" if worker.is_alive else worker.ended or "gone or idle"
