"""What other programs get of a store: all its figures, and nothing that they would run."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.export.export import FORMS, export
from bakeoff.platform.export.leaderboard_latex import escaped
from bakeoff.platform.queries.views import Views
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError
from tests.store_writer import StoreWriter

NAME = r'm/[*50%_#&^~$]{\evil}"<script>alert(1)<script>'
PROMPT = '=HYPERLINK("http://example.org","a red\ncircle")'
FIGURES = {"x-1": [1.0], "x-2": [0.0], "y-1": [1.0]}
SCORES = {"composition": {"m/vanilla": FIGURES, "m/noise": FIGURES | {"x-2": [1.0]}}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of two entries, the second of which has a name that no study could give it."""
    writer = StoreWriter(tmp_path / "store")
    batches = {entry: [(0.5, True)] for entry in SCORES["composition"]}
    writer.run(SCORES, prompts={"x-1": PROMPT}, batches=batches)
    store = Store.open(writer.path)
    (run,) = store.read("runs", TABLES["runs"].names).to_pylist()
    run["entries"][1]["name"] = NAME
    store.write("runs", run["run_id"], [run])
    return store


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_tables_are_csv_without_what_is_no_figure(store: Store, tmp_path: Path) -> None:
    export(store, "csv", tmp_path / "out")
    written = {file.stem for file in (tmp_path / "out").iterdir()}
    assert written == {*TABLES, "leaderboard"}
    samples = rows(tmp_path / "out/samples.csv")
    assert len(samples) == 6
    assert not {"image", "tokens"} & samples[0].keys()
    scores = rows(tmp_path / "out/scores.csv")
    assert [float(row["value"]) for row in scores] == store.read("scores", ["value"])[
        "value"
    ].to_pylist()
    (run,) = rows(tmp_path / "out/runs.csv")
    assert [entry["name"] for entry in json.loads(run["entries"])] == ["m/vanilla", NAME]
    assert rows(tmp_path / "out/failures.csv") == []


def test_no_text_is_a_formula_to_a_spreadsheet(store: Store, tmp_path: Path) -> None:
    export(store, "csv", tmp_path / "out")
    prompts = {row["prompt"] for row in rows(tmp_path / "out/samples.csv")}
    assert f"'{PROMPT}" in prompts
    for file in (tmp_path / "out").iterdir():
        for row in rows(file):
            assert not [text for text in row.values() if re.match(r"[=+@\t\r]|-\D", text)]


def test_the_leaderboard_has_every_figure_with_its_n_and_interval(
    store: Store, tmp_path: Path
) -> None:
    board = leaderboard(Views(store))
    export(store, "csv", tmp_path / "out")
    for row, standing in zip(rows(tmp_path / "out/leaderboard.csv"), board.standings, strict=True):
        score = standing.scores["composition"]
        assert score.interval
        columns = [f"composition{end}" for end in ("", "_low", "_high", "_prompts", "_samples")]
        wanted = [score.value, *score.interval, score.prompts, score.samples]
        assert [float(row[name]) for name in columns] == wanted
        assert float(row["seconds_per_image"]) == standing.seconds_per_image
        rate = standing.wins.estimate.value if standing.wins and standing.wins.estimate else None
        assert row["win_rate_composition"] == ("" if rate is None else str(rate))
        decision = standing.comparison.decision if standing.comparison else None
        assert row["verdict"] == (decision.verdict if decision else "")
        assert row["p_value_corrected"] == (str(decision.p_value) if decision else "")
        assert int(row["comparisons"]) == board.family == 1


def test_latex_has_equal_rows_whatever_entries_are_called(store: Store, tmp_path: Path) -> None:
    export(store, "latex", tmp_path / "out")
    text = (tmp_path / "out/leaderboard.tex").read_text()
    table = text.split("\\toprule\n")[1].split("\\bottomrule")[0]
    width = len(re.search(r"tabular}{(l+r+)}", text)[1])
    for line in table.splitlines():
        if line == "\\midrule":
            continue
        assert line.endswith(r" \\")
        columns = len(re.findall(r"(?<!\\)&", line)) + 1
        assert columns == (1 if line.startswith(r"\multicolumn") else width), line
    assert "\\evil" not in text
    assert "U+" not in text  # all characters of our own have a glyph
    assert "leaderboard" in (tmp_path / "out/document.tex").read_text()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("50 % of a_b & #1", r"50 \% of a\_b \& \#1"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("[2] * a---b-c", "{[}2{]} {*} a-{}-{}-b-c"),
        ("mit Größe", "mit Größe"),
        ("猫\x00\n", "U+732BU+0000 "),
        ("$x^2~$", r"\$x\textasciicircum{}2\textasciitilde{}\$"),
    ],
)
def test_latex_prints_a_text_as_it_stands(text: str, spelled: str) -> None:
    assert escaped(text) == spelled


class Page(HTMLParser):
    """The tags, the attributes and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_stands_alone_and_runs_nothing(store: Store, tmp_path: Path) -> None:
    export(store, "html", tmp_path / "out")
    page = Page((tmp_path / "out/leaderboard.html").read_text())
    assert "script" not in page.tags
    assert not page.attributes & {"src", "href", "onload", "onerror"}
    assert {"vanilla", NAME.removeprefix("m/")} <= {word.strip() for word in page.words}
    assert {"composition % ↑", "wins %", "n"} <= set(page.words)
    assert any(re.fullmatch(r"\d+\.\.\d+", word) for word in page.words)


def test_a_dataset_says_of_every_column_what_it_is(store: Store, tmp_path: Path) -> None:
    export(store, "datasets", tmp_path / "out")
    (first, *_) = sorted((tmp_path / "out/samples").iterdir())
    metadata = pq.read_schema(first).metadata[b"huggingface"]
    features: dict[str, Any] = json.loads(metadata)["info"]["features"]
    assert list(features) == TABLES["samples"].names
    assert features["image"] == {"_type": "Image"}
    assert features["seed"] == {"_type": "Value", "dtype": "int64"}
    tokens = {"_type": "Sequence", "feature": {"_type": "Value", "dtype": "int32"}}
    assert features["tokens"] == tokens
    kept = store.read_part(store.parts("samples")[0], ["sample_id", "image"])
    assert pq.read_table(first, columns=["sample_id", "image"]).equals(kept)
    card = (tmp_path / "out/README.md").read_text()
    assert "- config_name: samples\n  data_files: samples/*.parquet\n  default: true" in card
    assert "traces" not in card  # the store has none, and a pattern must match


@pytest.mark.parametrize("form", FORMS)
def test_what_is_in_a_folder_stays(store: Store, tmp_path: Path, form: str) -> None:
    mine = tmp_path / "notes.txt"
    mine.write_text("mine")
    with pytest.raises(InputError, match="must be new or empty"):
        export(store, form, tmp_path)
    with pytest.raises(InputError, match="must be new or empty"):
        export(store, form, mine)
    with pytest.raises(InputError, match="must not lie in the store"):
        export(store, form, store.path / "samples/new")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_fails_leaves_nothing(store: Store, tmp_path: Path, form: str) -> None:
    part = store.parts("samples")[-1]
    content = bytearray(part.read_bytes())
    content[4:60] = bytes(56)
    part.write_bytes(content)
    with pytest.raises(InputError, match="damaged or half written"):
        export(store, form, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_exported_is_refused_in_a_sentence(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="--to 'latx' is unknown; did you mean 'latex'"):
        export(store, "latx", out)
    with pytest.raises(InputError, match="--study does not go with --to datasets"):
        export(store, "datasets", out, "study")
    with pytest.raises(InputError, match="study 'other' is unknown"):
        export(store, "html", out, "other")
    empty = Store(tmp_path / "empty")
    empty.create()
    with pytest.raises(InputError, match="has no samples yet"):
        export(empty, "datasets", out)


def test_the_command_exports_and_says_where(store: Store, tmp_path: Path) -> None:
    arguments = ["export", str(store.path), str(tmp_path / "out"), "--to", "html"]
    assert CliRunner().invoke(app, arguments).output == f"Wrote {tmp_path / 'out'}\n"
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2 and "must be new or empty" in again.output
