"""A store is a stranger's: whatever stands in it, no page breaks, and nothing in it runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from bakeoff.dashboards.app import PAGES
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from tests.chromium import Watch, launched, needs_chromium
from tests.dashboards.serving import STILL, served
from tests.dashboards.visits import visitor
from tests.store_writer import StoreWriter

SCRIPT = (
    "<script>window.pwned=1</script><img src='http://example.org/b.png' onerror='window.pwned=1'>"
    "<svg onload=alert(1)>"
)
MARKDOWN = "![a](http://example.org/a.png) [b](javascript:alert(1)) # $x$ :red[c] `d` | e | **f**"
SQL = "'; DROP TABLE samples; -- $study \" ?"
CONTROL = "\u202eleft to right\u202c \x07\x1b[31m\x00\ud7ff\ufffe\n\r\ttab %s {x} =1+1"
LONG = "<b>long</b> " * 90_000  # a megabyte
HOSTILE = (SCRIPT, MARKDOWN, SQL, CONTROL, LONG)
ODD = (1.0, float("nan"), float("inf"), None, -1e308)
SHOWN = [title.lower().replace(" ", "-") for title in PAGES]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every text is an attack, and every figure that may be missing is."""
    writer = StoreWriter(tmp_path_factory.mktemp("hostile") / "store")
    names = [f"m{place % 2}/r{place}" for place in range(len(HOSTILE))]
    scores = {
        name: {f"x-{number}": [ODD[(place + number) % 5], 1.0] for number in range(5)}
        for place, name in enumerate(names)
    }
    batches = {
        name: [(seconds, True)] for name, seconds in zip(names, (0.5, float("nan")), strict=False)
    }
    steps = [{"mask_ratio": 0.5, "entropy": float("nan")}, {"mask_ratio": None, "phase": None}]
    writer.run({"composition": scores}, batches=batches, traces={names[0]: steps, names[1]: steps})
    store = Store(writer.path)
    for table in TABLES:
        for part in store.parts(table):
            rows = store.read_part(part, TABLES[table].names).to_pylist()
            store.write(table, part.stem.removeprefix("part-"), _spoilt(rows))
    _add_what_is_odd(store)
    return writer.path


def _spoilt(value: Any) -> Any:
    """Return rows with an attack in the place of each text that people would have chosen."""
    if isinstance(value, list):
        return [_spoilt(one) for one in value]
    if isinstance(value, dict):
        return {key: _spoilt(one) for key, one in value.items()}
    found = re.fullmatch(r"(m\d/r|m|r|x-|recipe r|a photo of x-|hash of m)(\d)", str(value))
    if found:  # texts stay apart, so that what belongs together does
        start, number = found.groups()
        text = HOSTILE[int(number)]
        return f"{start}{number} {text}" if start == "a photo of x-" else f"{number} {text[:5000]}"
    return f"{value} {SCRIPT}{MARKDOWN}" if value in ("study", "x", "cpu", "shapes") else value


def _add_what_is_odd(store: Store) -> None:
    (run,) = store.read("runs", TABLES["runs"].names).to_pylist()
    run |= {"study": LONG, "device": SCRIPT, "git_revision": MARKDOWN, "versions": [(SCRIPT, SQL)]}
    run["metrics"].append({"name": SCRIPT, "version": MARKDOWN})
    store.write("runs", run["run_id"], [run])
    pictures = (None, b"no picture", b"\x89PNG\r\n\x1a\n" * 9)
    for content, part in zip(pictures, store.parts("samples"), strict=False):
        rows = store.read_part(part, TABLES["samples"].names).to_pylist()
        rows[0]["image"] = {"bytes": content, "path": SCRIPT}
        store.write("samples", part.stem.removeprefix("part-"), rows)
    failures = [
        rows[0] | {"prompt": text, "stage": text, "error_type": text, "message": text, "attempt": 3}
        for text in HOSTILE
    ]
    names = TABLES["failures"].names
    store.write("failures", "all", [{name: row.get(name) for name in names} for row in failures])
    store.write("votes", "one", [{"vote_id": SCRIPT, "voter": SCRIPT, "result": float("nan")}])


@pytest.mark.parametrize("name", SHOWN)
def test_every_page_opens(hostile: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visitor(name, monkeypatch)(hostile)
    assert not page.exception and "cannot be shown" not in str(page.error)


@pytest.fixture(scope="module")
def address(hostile: Path) -> Iterator[str]:
    with served(hostile) as address:
        yield address


@pytest.fixture(scope="module")
def window() -> Iterator[Page]:
    with launched() as browser:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        yield page


@needs_chromium
@pytest.mark.parametrize("name", SHOWN)
def test_nothing_in_it_runs_or_asks_another_host(address: str, window: Page, name: str) -> None:
    watch = Watch().over(window)
    window.goto(f"{address}/{name}")
    window.wait_for_selector("[data-testid=stMain] h1")
    window.locator(STILL).wait_for()
    assert window.evaluate("window.pwned") is None and watch.dialogs == []
    assert window.locator("a[href^=javascript], [data-testid=stMain] script").count() == 0
    assert window.locator("[data-testid=stException]").count() == 0
    assert watch.hosts - {""} == {"127.0.0.1"}


def grown(writer: StoreWriter) -> None:
    writer.run({"composition": {"m/a": {"x-9": [1.0]}}}, minute=9, part="-later")


def replaced(writer: StoreWriter) -> None:
    for part in Store(writer.path).parts("scores"):
        part.write_bytes(part.read_bytes())


def vanished(writer: StoreWriter) -> None:
    for table in ("scores", "samples", "profiles"):
        for part in Store(writer.path).parts(table)[:1]:
            part.unlink()


def damaged(writer: StoreWriter) -> None:
    for part in Store(writer.path).parts("samples")[:1]:
        part.write_bytes(part.read_bytes()[:-20])


@pytest.mark.parametrize("name", SHOWN)
def test_what_happens_to_a_store_between_two_clicks_is_no_crash(
    writer: StoreWriter, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: dict[str, Any] = {"m/a": {"x-1": [1.0], "x-2": [0.0]}, "m/b": {"x-1": [0.0]}}
    writer.run({"composition": scores}, batches={"m/a": [(0.5, True)]})
    page = visitor(name, monkeypatch)(writer.path)
    assert not page.exception and not page.error
    for change in (grown, replaced, vanished):
        change(writer)
        page = page.run()
        assert not page.exception and not page.error, change.__name__
    damaged(writer)
    page = page.run()
    assert not page.exception
