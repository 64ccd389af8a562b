"""`bakeoff dashboard STORE`: the store in a browser, on this machine only."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

OPTIONS = (
    "--server.address=127.0.0.1",
    "--server.headless=true",
    "--server.fileWatcherType=none",
    "--browser.gatherUsageStats=false",
    "--client.toolbarMode=minimal",
    # no model's color, and no alarm
    "--theme.light.primaryColor=#4a5f78",
    "--theme.dark.primaryColor=#7f96b2",
)


def dashboard(
    store: Annotated[str, typer.Argument(help="Folder or bucket that a study was run into.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8501,
) -> None:
    """Open the store in a browser: leaderboard, win rates, pictures. Ends with Ctrl-C."""
    from bakeoff.platform.queries.views import STORE_VARIABLE, open_views
    from bakeoff.platform.store.places import place

    opened = place(store)
    open_views(opened)
    typer.echo(f"Dashboard of {store}: http://127.0.0.1:{port}")
    environment = {**os.environ, STORE_VARIABLE: str(opened.resolve())}
    try:
        code = subprocess.run(command(port), env=environment, check=False).returncode
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code)


def command(port: int) -> list[str]:
    """Return the command line that serves the pages.

    The pages are found by name and run in a process of their own: nothing here imports them.
    """
    spec = find_spec("bakeoff.dashboards")
    assert spec is not None and spec.submodule_search_locations
    page = Path(spec.submodule_search_locations[0]) / "pages" / "__main__.py"
    return [sys.executable, "-m", "streamlit", "run", str(page), f"--server.port={port}", *OPTIONS]
