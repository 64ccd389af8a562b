"""`bakeoff run`: do what a study still lacks, then show where it stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bakeoff.platform.cli.dry_run import show_estimate
from bakeoff.platform.cli.listing import open_console
from bakeoff.samplers.errors import InputError

if TYPE_CHECKING:
    from bakeoff.platform.execution.execution import Progress as Done
    from bakeoff.platform.execution.run import Result, Work

DEFAULT_STUDY = "embedded"
STORES = Path("bakeoff-store")


def run(
    study: Annotated[
        str, typer.Argument(help="A study file, or the name of a study that is shipped.")
    ] = DEFAULT_STUDY,
    store: Annotated[
        str | None,
        typer.Option(
            help="Folder of the results, or s3://BUCKET/FOLDER.",
            show_default="./bakeoff-store/STUDY",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Take the first N prompts of each task.", show_default="all"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images made at once by a worker.")] = 16,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that make images.", show_default="one a GPU, else one a core"
        ),
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(
            help="What workers run on, where GPUs start only when there is work for them.",
            show_default="cuda if a GPU is up, else cpu",
        ),
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            help="Custom Ray resource of the nodes to run on, such as gpu-48gb.",
            show_default="any node",
        ),
    ] = None,
    until_decided: Annotated[
        float | None,
        typer.Option(
            help="Make no more of an entry once its comparison with the baseline is decided; the "
            "share of studies in which any may be decided wrongly: 0.05.",
            show_default="all prompts",
        ),
    ] = None,
    equivalent: Annotated[
        float | None,
        typer.Option(
            help="With --until-decided, the margin of win rates that count as equal: 0.02 for "
            "48..52 %.",
            show_default="none",
        ),
    ] = None,
    retry_failures: Annotated[
        bool,
        typer.Option("--retry-failures", help="Try again what earlier runs gave up."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what is to be done and what it costs, and do nothing."),
    ] = False,
) -> None:
    """Run a study: what its store lacks is made, the rest is left alone."""
    # Here and not above: they load torch and Ray, seconds that `bakeoff --help` need not wait.
    from bakeoff.platform.execution.run import prepare
    from bakeoff.platform.store.store import Store
    from bakeoff.platform.studies.rule import Rule
    from bakeoff.platform.studies.study import load_study

    if equivalent is not None and until_decided is None:
        raise InputError(
            "equivalent says when a run until decided stops: give --until-decided 0.05"
        )
    rule = None if until_decided is None else Rule(until_decided, equivalent)
    console = open_console()
    wanted = load_study(study, limit=limit)
    place = store or str(STORES / wanted.name)
    opened = Store.open_or_plan(place)
    work = prepare(wanted, opened, batch_size, retry_failures=retry_failures, rule=rule)
    if dry_run:
        _tell_size(work, console)
        show_estimate(work, workers, console)
    else:
        complete(work, place, console, workers, device, resource)


def complete(
    work: "Work",
    place: str,
    console: Console,
    workers: int | None,
    device: Literal["cpu", "cuda"] | None,
    resource: str | None = None,
) -> None:
    """Do the work of a study, show where it stands, and end as it went."""
    from bakeoff.platform.execution.execution import RunStopped
    from bakeoff.platform.execution.run import carry_out

    _tell_size(work, console)
    try:
        with _Bar(console) as bar:
            result = carry_out(
                work, workers, bar.show, device=device, resource=resource, begin=bar.begin
            )
    except (RunStopped, KeyboardInterrupt) as stop:
        reason = str(stop) or "at your word"
        typer.echo(
            f"bakeoff: stopped, {reason}. Run the same command to go on from here.", err=True
        )
        raise typer.Exit(1) from None
    _leaderboard(place, work.study.name, console)
    _next_steps(place, console)
    if told := _failures(work, result):
        typer.echo(f"bakeoff: {told}", err=True)
        raise typer.Exit(1)


def _failures(work: "Work", result: "Result") -> str:
    """Return what failed in this run or an earlier one, in one sentence; nothing if nothing did."""
    from bakeoff.platform.execution.plan import GENERATE

    failed = result.failed + work.given_up
    if not failed:
        return ""
    rows = work.failures(["run_id", "stage", "error_type", "message", "attempt"])
    last = max(rows, key=lambda row: row["run_id"])
    again = "the same command"
    if work.study.is_made_elsewhere and all(row["stage"] == GENERATE for row in rows):
        again = "when they are mended or there, the same command"
    elif any(row["attempt"] > 1 for row in rows):
        again = "--retry-failures"
    return (
        f"{failed} images failed, the reasons are in {work.store.path / 'failures'}; the last: "
        f"{last['error_type']}: {' '.join(last['message'].split())}; {again} tries them again"
    )


def _tell_size(work: "Work", console: Console) -> None:
    console.print(f"Study [bold]{work.study.name}[/]: {_size(work)}", highlight=False)


def _size(work: "Work") -> str:
    study = work.study
    done = "all others there" if work.given_up else "all there"
    to_do = f"{work.images} to do" if work.images else f"{done}: nothing to do"
    if work.given_up:
        to_do = f"{work.given_up} failed for good, {to_do}"
    size = f"{len(study.entries)} entries × {len(study.prompts)} prompts = {study.images} images"
    if work.rule and work.images:
        return f"{size} at most, {to_do} unless it is decided before"
    return f"{size}, {to_do}"


class _Bar(Progress):
    """The progress of a run: images done, their speed, the time left, failures."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images · {task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}"),
            console=console,
            disable=True,  # until there is something to do
        )
        self.failed = self.images = 0
        self.doing = "making images"
        self.images_task = self.add_task("starting workers", total=0, speed="–", failures="")

    def begin(self, step: "Work") -> None:
        """Add what is to be done next: all, or a round of a run until decided."""
        self.images += step.images
        if not any(step.count.by_model.values()):
            self.doing = "scoring images"
        if step.rule:
            entries, prompts = len(step.study.entries), len(step.study.prompts)
            self.doing = f"{entries} entries, {prompts} more prompts"
        self.update(self.images_task, total=self.images)
        if self.disable and step.images:
            self.disable = False
            self.start()

    def show(self, done: "Done") -> None:
        """Add a finished shard."""
        self.failed += done.failed
        self.advance(self.images_task, done.images)
        speed = self.tasks[0].speed
        self.update(
            self.images_task,
            description=self.doing,
            speed=f"{speed:.1f} a second" if speed else "–",
            failures=f"[red]{self.failed} failures" if self.failed else "",
        )


def _leaderboard(store: str, study: str, console: Console) -> None:
    from bakeoff.platform.conclusions.leaderboard import leaderboard
    from bakeoff.platform.queries.views import open_views
    from bakeoff.platform.tables.leaderboard_table import render

    console.print(render(leaderboard(open_views(store), study)))


def _next_steps(store: str, console: Console) -> None:
    console.print(f"\nEverything is in [bold]{store}[/]. Next:", highlight=False)
    for verb, what in (
        ("show", "the pictures on one sheet"),
        ("dashboard", "all of it in the browser"),
        ("leaderboard", "this table again"),
    ):
        console.print(f"  bakeoff {verb} {store}", f"[dim]# {what}[/]", highlight=False)
