"""Serves a store's pages as `bakeoff dashboard` does, for a browser."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from bakeoff.platform.cli.dashboard import command
from bakeoff.platform.queries.views import STORE_VARIABLE

PATIENCE_SECONDS = 120
# Of a page that has answered; and a condition that all its charts and pictures meet once drawn.
STILL = "[data-testid=stApp][data-test-script-state=notRunning]"
DRAWN = """() => document.querySelector('[data-testid=stMain] h1')
  && !document.querySelector('[data-testid=stSkeleton]')
  && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(
    chart => chart.querySelector('canvas, svg.marks'))
  && [...document.images].every(image => image.complete && image.naturalWidth > 0)"""


def wait_until_drawn(page: Page) -> None:
    """Wait until a page has answered, and all its charts and pictures are there."""
    page.locator(STILL).wait_for()
    page.wait_for_function(DRAWN)


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Give the address at which the pages of a store are served."""
    with listening(command, {STORE_VARIABLE: str(store)}) as address:
        yield address


@contextmanager
def listening(command_at: Callable[[int], list[str]], variables: dict[str, str]) -> Iterator[str]:
    """Give the address of a server of Streamlit, by its command line at a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        command_at(port),
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)


def _wait_for(address: str, server: subprocess.Popen) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if opener.open(address, timeout=5).status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"the dashboard did not start (exit code {server.poll()})")
