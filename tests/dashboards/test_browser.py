"""The first page in a real browser: nothing breaks, nothing runs, nothing leaves the machine."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bakeoff.platform.cli.dashboard import command
from bakeoff.platform.views import STORE_VARIABLE

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
PATIENCE_SECONDS = 120
PICTURES = "[data-testid=stImage] img"
CHARTS = "[data-testid=stVegaLiteChart] :is(canvas, svg.marks)"
# Where Chromium must be there, its absence fails instead.
REQUIRED = bool(os.environ.get("BAKEOFF_REQUIRE_CHROMIUM"))
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists() and not REQUIRED,
    reason=f"no Chromium at {CHROMIUM}: apt install chromium",
)


@pytest.fixture(scope="module")
def address(shared_store: Path) -> Iterator[str]:
    """Serve the store as `bakeoff dashboard` does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, STORE_VARIABLE: str(shared_store)}
    server = subprocess.Popen(
        command(port), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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
    pytest.fail(f"the dashboard did not start (exit code {server.poll()})")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    yield context.new_page()
    context.close()


def visit(page: Page, address: str, pictures: int) -> None:
    """Open the page and wait until all of it is drawn."""
    page.goto(address)
    page.wait_for_function(f"document.querySelectorAll({PICTURES!r}).length == {pictures}")
    page.wait_for_function(f"document.querySelectorAll({CHARTS!r}).length == 2")


def test_the_page_is_drawn_without_a_complaint(page: Page, address: str, tmp_path: Path) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    visit(page, address, pictures=4 * 3)
    for heading in ("Leaderboard", "Win rates", "Pictures"):
        assert page.get_by_role("heading", name=heading).is_visible()
    assert page.locator("[data-testid=stException]").count() == 0
    page.wait_for_function(
        f"[...document.querySelectorAll({PICTURES!r})].every(i => i.complete && i.naturalWidth > 0)"
    )
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert complaints == []


def test_a_hostile_prompt_runs_nothing_and_no_other_host_is_asked(page: Page, address: str) -> None:
    hosts: set[str | None] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    visit(page, address, pictures=4 * 3)
    assert page.title() == "Bakeoff"
    assert page.get_by_text("<script>document.title=").count() == 1
    assert page.locator("a[href^=javascript]").count() == 0
    assert hosts == {"127.0.0.1"}


def test_what_is_chosen_stands_in_the_address(page: Page, address: str) -> None:
    visit(page, address, pictures=4 * 3)
    page.get_by_label("Page of 2").fill("2")
    page.get_by_label("Page of 2").press("Enter")
    page.wait_for_url("**?page=2")
    visit(page, page.url, pictures=2 * 3)
    assert page.get_by_label("Page of 2").input_value() == "2"


def test_a_phone_needs_no_sideways_scrolling(page: Page, address: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    visit(page, address, pictures=4 * 3)
    page.screenshot(path=tmp_path / "phone.png")
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")
