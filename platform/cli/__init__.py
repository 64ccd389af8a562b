"""The command `bakeoff`: one file a verb, one way to tell a user what is wrong.

Exit codes: 0 done, 1 finished with failures or stopped, 2 wrong input.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from bakeoff.platform.cli.benchmarks import benchmarks
from bakeoff.platform.cli.compact import compact
from bakeoff.platform.cli.compare import compare
from bakeoff.platform.cli.convert import convert
from bakeoff.platform.cli.dashboard import dashboard
from bakeoff.platform.cli.export import export
from bakeoff.platform.cli.fetch import fetch
from bakeoff.platform.cli.gate import gate
from bakeoff.platform.cli.leaderboard import leaderboard
from bakeoff.platform.cli.merge import merge
from bakeoff.platform.cli.metrics import metrics
from bakeoff.platform.cli.models import models
from bakeoff.platform.cli.recipes import recipes
from bakeoff.platform.cli.replay import replay
from bakeoff.platform.cli.report import report
from bakeoff.platform.cli.run import run
from bakeoff.platform.cli.score import score
from bakeoff.platform.cli.show import show
from bakeoff.platform.cli.status import status
from bakeoff.platform.cli.submit import submit
from bakeoff.platform.cli.traces import traces
from bakeoff.platform.cli.verify import verify
from bakeoff.samplers.errors import InputError


class _Verbs(TyperGroup):
    """The verbs; an `InputError` from any of them is one line and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.echo(f"bakeoff: {error}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"auto_envvar_prefix": "BAKEOFF", "help_option_names": ["-h", "--help"]},
    help="Compare image generators head to head.",
)
for verb in (
    run,
    score,
    submit,
    leaderboard,
    compare,
    gate,
    show,
    traces,
    report,
    export,
    status,
    verify,
    replay,
    compact,
    merge,
    dashboard,
    models,
    fetch,
    convert,
    recipes,
    benchmarks,
    metrics,
):
    app.command()(verb)
