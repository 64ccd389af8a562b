"""How quick the dashboard is at a large store: `python -m tests.benchmarks.dashboard`.

The store is made up once in the folder given: 10 million scores, and 100,000 samples with pictures.
Each page is opened in a browser of its own with empty caches: the first time, when the server has
opened nothing (cold), and again, when it has. Told are the browser's own first contentful paint,
and when the page has its table, chart or pictures, which is what the target is for. Then something
is chosen on it for the first time (interaction). A page of one sentence is measured before all.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser, Page

from bakeoff.platform.cli.dashboard import OPTIONS
from tests.benchmarks.large_store import write_large_store
from tests.chromium import launched
from tests.dashboards.serving import STILL, listening, served

PAINTED = (
    "[data-testid=stDataFrame] canvas, [data-testid=stVegaLiteChart] :is(canvas, svg.marks), "
    ".side-by-side img, .arena img, .tables details, [data-testid=stAlert]"
)
FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PATIENCE_SECONDS = 120  # Runs counts five million samples behind what it shows
VISITS = 3
Act = Callable[[Page], None]


def choose(number: int) -> Act:
    """Return what opens a page's selectbox and takes its next option."""

    def act(page: Page) -> None:
        page.locator("[data-testid=stSelectbox] input").nth(number).click()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")

    return act


def press(key: str) -> Act:
    """Return what presses a key."""
    return lambda page: page.keyboard.press(key)


def click(selector: str) -> Act:
    """Return what clicks on something."""
    return lambda page: page.locator(selector).click()


# What is done on each page, by its name in the address; this store has one run, no traces, and few
# of its samples have pictures, so that most questions of the arena can only be skipped.
ACTS: dict[str, tuple[str, Act] | None] = {
    "leaderboard": (
        "another metric",
        click("[data-testid=stButtonGroup] >> nth=0 >> button >> nth=1"),
    ),
    "win-rates": ("another metric", choose(1)),
    "head-to-head": ("next prompt", press("ArrowRight")),
    "arena": ("next question", click("[data-testid=stButton] >> nth=0 >> button")),
    "efficiency": ("another metric", choose(0)),
    "trajectories": None,
    "design-choices": ("another metric", choose(0)),
    "runs": None,
    "sql": ("a query", click("[data-testid=stFormSubmitButton] button")),
}


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    """Give a page with empty caches."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    yield context.new_page()
    context.close()


class Paint(NamedTuple):
    """Seconds until a browser has painted something, and until what people look for is there."""

    first: float
    whole: float


def paint(page: Page, address: str, awaited: str = PAINTED) -> Paint:
    """Open a page and wait until its table, chart or pictures are there."""
    start = time.perf_counter()
    page.goto(address)
    page.locator(awaited).first.wait_for()
    whole = time.perf_counter() - start
    page.locator(STILL).wait_for()
    first = page.wait_for_function(FIRST_PAINT).json_value()
    return Paint(first / 1000, whole)


def act_seconds(page: Page, act: Act) -> float:
    """Return how long it takes until a page has answered to what is done on it."""
    page.evaluate(
        "() => { window.ran = false; const app = document.querySelector('[data-testid=stApp]');"
        "new MutationObserver(() => { if (app.dataset.testScriptState === 'running')"
        "window.ran = true }).observe(app, {attributes: true}) }"
    )
    start = time.perf_counter()
    act(page)
    page.wait_for_function(
        "() => window.ran && document.querySelector("
        "'[data-testid=stApp][data-test-script-state=notRunning]')"
    )
    return time.perf_counter() - start


def print_page(browser: Browser, address: str, name: str) -> None:
    """Measure one page and print a line."""
    with opened(browser) as page:
        cold = paint(page, f"{address}/{name}").whole
    first, whole = visits(browser, f"{address}/{name}")
    print(
        f"{name:16} cold {cold:6.2f} s   first paint {first:5.2f} s   whole {whole:5.2f} s"
        f" (target 2)   {acted(browser, f'{address}/{name}', ACTS[name])}",
        flush=True,
    )


def acted(browser: Browser, address: str, deed: tuple[str, Act] | None) -> str:
    """Return what is done on a page and how long its answer takes."""
    if not deed:
        return "nothing to choose"
    told, act = deed
    with opened(browser) as page:
        paint(page, address)
        return f"{told} {act_seconds(page, act):5.2f} s (target 1)"


def visits(browser: Browser, address: str, awaited: str = PAINTED) -> Paint:
    """Return the medians of several visits with empty caches."""
    paints = []
    for _ in range(VISITS):
        with opened(browser) as page:
            paints.append(paint(page, address, awaited))
    return Paint(*map(median, zip(*paints, strict=True)))


def print_floor(browser: Browser) -> None:
    """Measure a page of one sentence."""
    with TemporaryDirectory() as folder:
        script = Path(folder) / "floor.py"
        script.write_text("import streamlit as st\n\nst.text('one sentence')\n")
        run = [sys.executable, "-m", "streamlit", "run", str(script), *OPTIONS]
        with listening(lambda port: [*run, f"--server.port={port}"], {}) as address:
            first, whole = visits(browser, address, "[data-testid=stText]")
    print(f"one sentence: first paint {first:5.2f} s, whole {whole:5.2f} s", flush=True)


def main() -> None:
    """Write the store unless it is there, and measure each page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", type=Path, default=Path("/var/tmp/bakeoff-large-dashboard"))
    parser.add_argument("--rows", type=int, default=10_000_000, help="scores")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=tuple(ACTS), default=tuple(ACTS))
    given = parser.parse_args()
    if not given.store.exists():
        write_large_store(given.store, given.rows, given.pictures)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    with served(given.store) as address, launched() as browser:
        print_floor(browser)
        for name in given.only:
            print_page(browser, address, name)


if __name__ == "__main__":
    main()
