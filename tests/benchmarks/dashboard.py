"""How quick the dashboard is at a large store: `python -m tests.benchmarks.dashboard`.

The store is made up once in the folder given: 10 million scores, and 100,000 samples with pictures.
Each page is opened in a browser of its own with empty caches: the first time, when the server has
opened nothing (cold), and again, when it has (first paint: the page with its table, chart or
pictures). Then something is chosen on it, for the first time (interaction) and back and forth.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page

from tests.benchmarks.large_store import write_large_store
from tests.chromium import launched
from tests.dashboards.serving import STILL, served

PAINTED = (
    "[data-testid=stDataFrame] canvas, [data-testid=stVegaLiteChart] :is(canvas, svg.marks), "
    ".side-by-side img, .arena img, .tables details, [data-testid=stAlert]"
)
PATIENCE_SECONDS = 60
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


# What is done on each page, by its name in the address.
ACTS: dict[str, tuple[str, Act]] = {
    "leaderboard": ("another metric", choose(0)),
    "win-rates": ("another metric", choose(1)),
    "head-to-head": ("next prompt", press("ArrowRight")),
    "arena": ("vote-free reload", press("F5")),
    "efficiency": ("first chooser", choose(0)),
    "trajectories": ("first chooser", choose(0)),
    "design-choices": ("first chooser", choose(0)),
    "runs": ("first chooser", choose(0)),
    "sql": ("run a query", press("Control+Enter")),
}


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    """Give a page with empty caches."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    yield context.new_page()
    context.close()


def paint_seconds(page: Page, address: str) -> float:
    """Return how long it takes until a page's table, chart or pictures are there."""
    start = time.perf_counter()
    page.goto(address)
    page.locator(PAINTED).first.wait_for()
    painted = time.perf_counter() - start
    page.locator(STILL).wait_for()
    return painted


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
        cold = paint_seconds(page, f"{address}/{name}")
    paints = []
    for _ in range(VISITS):
        with opened(browser) as page:
            paints.append(paint_seconds(page, f"{address}/{name}"))
    told, act = ACTS.get(name, ("first chooser", choose(0)))
    with opened(browser) as page:
        paint_seconds(page, f"{address}/{name}")
        try:
            acted = f"{act_seconds(page, act):5.2f} s"
        except Exception as error:
            acted = f"not measured ({type(error).__name__})"
    print(
        f"{name:16} cold {cold:6.2f} s   first paint {median(paints):5.2f} s (target 2)   "
        f"{told} {acted} (target 1)",
        flush=True,
    )


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
        for name in given.only:
            print_page(browser, address, name)


if __name__ == "__main__":
    main()
