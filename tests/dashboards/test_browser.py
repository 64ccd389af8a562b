"""Every page in a real browser, over what a real run has written."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from bakeoff.dashboards.app import PAGES
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import read_study
from tests.chromium import Watch, launched, needs_chromium
from tests.dashboards.serving import served, wait_until_drawn
from tests.trials import bare_run

pytestmark = needs_chromium
PATIENCE_MS = 60_000
BROKEN = (
    "[data-testid=stException], [data-testid=stAlertContentError], "
    "[data-testid=stAlertContentWarning]"
)
PHONE = {"width": 390, "height": 844}
STUDY = """
name: real
benchmark: {name: shapes, limit: 1}
seeds: [0, 1]
metrics: [composition, clip_score]
baseline: tiny-meissonic/vanilla
traces: true
models:
  - model: tiny-meissonic
    recipes:
      vanilla: steps=3
      control: {like: vanilla, seed_offset: 1000}
    grid: {like: vanilla, differential: [null, 75], zigzag: [null, masked]}
  - {model: tiny-llamagen, recipes: {vanilla: }}
"""
# What a page is not without, by its name in the address.
SHOWN = {
    "leaderboard": "[data-testid=stDataFrame] canvas, [data-testid=stVegaLiteChart]",
    "win-rates": "[data-testid=stVegaLiteChart]",
    "head-to-head": ".side-by-side img",
    "arena": ".arena img",
    "efficiency": "[data-testid=stVegaLiteChart]",
    "trajectories": "[data-testid=stVegaLiteChart]",
    "design-choices": "[data-testid=stVegaLiteChart]",
    "runs": "[data-testid=stDataFrame] canvas",
    "sql": ".tables details",
}
CHANGED = """([place, old]) => document.querySelector(place)
  && document.querySelector(place).innerHTML !== old"""
NAMES = [title.lower().replace(" ", "-") for title in PAGES]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two embedded models, with a control and a grid."""
    folder = tmp_path_factory.mktemp("real")
    study = read_study(STUDY, source="study.yaml", folder=folder)
    assert bare_run(study, folder / "store", batch_size=12).failed == 0
    return folder / "store"


@pytest.fixture(scope="module")
def address(real: Path) -> Iterator[str]:
    with served(real) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def visit(page: Page, address: str, name: str) -> None:
    """Open a page by its name and wait until all of it is drawn."""
    page.goto(f"{address}/{'' if name == NAMES[0] else name}")
    page.locator(SHOWN[name.partition("?")[0]]).first.wait_for()
    wait_until_drawn(page)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_drawn_without_a_complaint(
    page: Page, address: str, name: str, tmp_path: Path
) -> None:
    watch = Watch().over(page)
    visit(page, address, name)
    assert page.title().endswith(" · Bakeoff")
    assert page.locator(BROKEN).count() == 0
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    page.set_viewport_size(PHONE)
    page.wait_for_function("document.body.scrollWidth <= window.innerWidth")
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert watch.complaints == []
    assert watch.hosts - {""} == {"127.0.0.1"}


def test_what_is_chosen_stands_in_the_address(page: Page, address: str) -> None:
    visit(page, address, "win-rates")
    page.get_by_label("Metric that decides").click()
    page.get_by_role("option", name="clip_score").click()
    page.wait_for_url("**/win-rates?metric=clip_score")
    visit(page, address, "win-rates?metric=clip_score")
    assert page.get_by_label("Metric that decides").input_value() == "clip_score"


def test_arrow_keys_step_through_prompts(page: Page, address: str) -> None:
    visit(page, address, "head-to-head")
    first = page.locator(".side-by-side").inner_html()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/head-to-head?place=2")
    page.wait_for_function(CHANGED, arg=[".side-by-side", first])
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile("/head-to-head([?]place=1)?$"))


def test_a_vote_is_stored_and_another_question_asked(page: Page, address: str, real: Path) -> None:
    visit(page, address, "arena")
    first = page.locator(".arena").inner_html()
    before = Store(real).count("votes")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(CHANGED, arg=[".arena", first])
    assert Store(real).count("votes") == before + 1
