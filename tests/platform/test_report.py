"""A report says what the leaderboard says, loads nothing, runs nothing, and has a bounded size."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.report import report
from bakeoff.platform.report.gallery import MOST_CHARACTERS
from bakeoff.platform.store.pictures import encode_png
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.tables.leaderboard_table import table_of
from tests.chromium import Watch, launched, needs_chromium
from tests.store_writer import MISSING, StoreWriter

HOSTILE = "<script>document.title='in'</script><img src=x onerror=\"document.title='in'\">{{ 7*7 }}"
PROMPTS = [f"{task}-{number}" for task in ("colors", "counting") for number in range(6)]
RESULTS = {
    "m/vanilla": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
    "m/control": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0],
    "m/better": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, MISSING],
    "n/<b onclick='document.title=1'>{{ 7*7 }}": [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two models, a control, an entry that wins, hostile texts wherever there may be one."""
    writer = StoreWriter(tmp_path_factory.mktemp("report") / "store")
    scores = {
        entry: {prompt: [value] for prompt, value in zip(PROMPTS, values, strict=True)}
        for entry, values in RESULTS.items()
    }
    writer.run(
        {"composition": scores},
        copies={"m/control": "m/vanilla"},
        batches={"m/vanilla": [(0.2, False), (0.1, True)], "m/better": [(0.3, True)]},
        prompts=dict.fromkeys(PROMPTS, HOSTILE) | {"colors-0": HOSTILE + "word " * 200_000},
        recipes={"m/vanilla": "steps=4", "m/better": "steps=8"},
    )
    found = Store(writer.path)
    found.write("failures", "part", [_failure("generate", "counting-9"), _failure("load", "x")])
    return found


def _failure(stage: str, prompt_id: str) -> dict[str, object]:
    head = {"model": "m", "recipe_id": "better", "seed": 0, "prompt": HOSTILE, "run_id": "run"}
    error = {"error_type": HOSTILE, "message": HOSTILE * 100, "attempt": 1}
    return {**head, **error, "sample_id": prompt_id, "stage": stage}


@pytest.fixture(scope="module")
def page(store: Store) -> str:
    return report(store)


class Tables(HTMLParser):
    """The texts of a page's table cells, by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._is_cell = self._is_cell or tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self._is_cell = self._is_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self.rows[-1][-1] += data.strip()


def test_its_leaderboard_is_the_leaderboard(store: Store, page: str) -> None:
    table = table_of(leaderboard(open_views(store.path)))
    expected = [
        [(line.name, line.remark), *cells]
        for line, cells in table.rows(table.columns)
        if not line.is_head
    ]
    joined = [[re.sub(r"\s", "", "".join(cell)) for cell in row] for row in expected]
    shown = [[re.sub(r"\s", "", cell) for cell in row] for row in Tables(page).rows]
    assert len(joined) == len(RESULTS)
    assert [row for row in joined if row not in shown] == []


def test_it_says_who_wins_how_surely_and_at_what_cost(page: str) -> None:
    (summary,) = re.findall(r'<div class="summary">(.*?)</div>', page, re.DOTALL)
    assert "m/better beats m/vanilla on composition" in summary
    assert "n 11 prompts" in summary
    assert "at 3 × the seconds and 1 × the row-evaluations an image" in summary
    assert (
        "Of 2 entries compared with m/vanilla: 1 better, 0 worse, 0 equivalent, 1 undecided."
        in summary
    )
    assert "The A/A control m/control comes out undecided, as it should." in summary


def test_the_same_store_gives_the_same_bytes(store: Store, page: str) -> None:
    assert report(store) == page


def test_texts_of_the_store_are_escaped_and_long_ones_cut(page: str) -> None:
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;document.title=" in page
    assert "{{ 7*7 }}" in page  # a template in a text is a text
    assert len(page) < 500_000


def test_every_section_tells_the_queries_behind_its_numbers(page: str) -> None:
    sections = re.findall(r"<section.*?<h2>(.*?)</h2>(.*?)</section>", page, re.DOTALL)
    asked = {
        heading: re.findall(r"SQL behind these numbers: (.*?)</summary>", text)
        for heading, text in sections
    }
    assert "study_entries" in asked["Leaderboard"][0]
    assert asked["Win rates"] == ["stopping, entry_places, metric_values"]
    assert asked["Failures"] == ["failure_kinds"]
    assert "$study = &#39;study&#39;" in page
    assert "FROM entry_scores" in page


def test_quality_is_drawn_against_cost_with_the_front_named(page: str) -> None:
    (section,) = re.findall(r"<h2>Quality against cost</h2>.*?</section>", page, re.DOTALL)
    (drawn,) = re.findall(r"<svg role.*?</figure>", section, re.DOTALL)
    points = re.findall(r"<g( class=\"beaten\")?><title>(.*?)</title>.*?</g>", drawn, re.DOTALL)
    assert points == [("", "m/vanilla"), ("", "m/better")]
    assert re.findall(r"name\".*?>(.*?)</text>", drawn) == ["vanilla", "better"]
    assert drawn.count('class="front"') == 2


def test_what_failed_is_told_above_all_numbers(page: str) -> None:
    (summary,) = re.findall(r'<div class="summary">(.*?)</div>', page, re.DOTALL)
    assert "2 failures were not mended by a later try" in summary


def test_failures_are_counted_by_kind(page: str) -> None:
    (row,) = [row for row in Tables(page).rows if row[0].startswith("generate: ")]
    assert row[1:5] == ["1", "1", "0", "1"]


def test_a_study_without_a_picture_or_a_score_is_told(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {"m/a": {}, "m/b": {}}})
    page = report(Store(writer.path))
    assert "Nothing is decided: no entry shares a scored prompt with the baseline." in page
    assert "Win rates" not in page
    assert "Pictures" not in page


def test_pictures_are_bounded_in_bytes(tmp_path: Path) -> None:
    names = [f"m/{number}" for number in range(60)]
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {name: {"x-1": [1], "x-2": [0]} for name in names}})
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    content = {"bytes": encode_png(noise), "path": None}  # a data URI of 150,000 characters
    store = Store(writer.path)
    for part in store.parts("samples"):
        rows = store.read_part(part, TABLES["samples"].names).to_pylist()
        pictured = [row | {"image": content} for row in rows]
        store.write("samples", part.stem.removeprefix("part-"), pictured)
    page = report(store)
    assert 0.9 * MOST_CHARACTERS < len(page) < MOST_CHARACTERS + 1_000_000
    assert page.count("no picture") == 60 + 60 - page.count("<img") > 60


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--output", "page.txt"], "--output 'page.txt' must end in .html"),
        (["--study", "studi"], "study 'studi' is unknown; did you mean 'study'?"),
        (["--output", "no/such/folder.html"], "cannot be written: No such file or directory"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(
    store: Store, arguments: list[str], sentence: str
) -> None:
    result = CliRunner().invoke(app, ["report", str(store.path), *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_the_command_writes_the_page(store: Store, page: str, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", str(store.path), "--output", str(output)])
    assert result.exit_code == 0
    assert output.read_text(encoding="utf-8") == page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@needs_chromium
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_browser_opens_it_offline_without_a_complaint(
    browser: Browser, page: str, tmp_path: Path, scheme: str, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    context = browser.new_context(
        offline=True, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    tab = context.new_page()
    watch = Watch().over(tab)
    tab.goto(file.as_uri())
    assert tab.title() == "Study study · Bakeoff report"
    assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert watch == Watch(hosts={""})
    context.close()
