"""The SQL page's logic, without a browser."""

import re
from pathlib import Path

import pytest

from bakeoff.dashboards.pages.sql import EXAMPLES, as_csv
from bakeoff.platform.queries.console import Answer
from bakeoff.platform.store.store import Store
from tests.dashboards.visits import Visit, html, visitor
from tests.store_writer import StoreWriter


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("sql", monkeypatch)


def test_a_query_has_its_rows_and_stands_in_the_address(shared_store: Path, visit: Visit) -> None:
    sql = "SELECT entry, count(*) AS n, avg(value) AS entry FROM entry_scores GROUP BY 1 ORDER BY 1"
    page = visit(shared_store, sql=sql)
    assert page.text_area[0].value == sql and not page.dataframe  # nobody has asked yet
    page.button[-1].click().run()
    assert not page.exception and not page.error
    table = page.dataframe[0].value
    assert list(table["n"]) == [6, 6, 5] and list(table.columns) == ["entry", "n", "entry_1"]
    assert any(text.value.startswith("3 rows in ") for text in page.text)


def test_tables_and_columns_stand_beside(shared_store: Path, visit: Visit) -> None:
    page = visit(shared_store)
    told = re.findall("<summary>(.*?)</summary>(.*?)</details>", html(page))
    tables = {table: columns.split(", ") for table, columns in told}
    assert {"entries", "entry_scores", "failures", "runs", "traces", "votes"} <= tables.keys()
    assert "value" in tables["entry_scores"] and "tokens" not in tables["traces"]


def test_every_example_works(shared_store: Path, visit: Visit) -> None:
    page = visit(shared_store)
    for place, name in enumerate(EXAMPLES):
        page.button[place].click().run()
        assert page.text_area[0].value == EXAMPLES[name]
        page.button[-1].click().run()
        assert not page.exception and not page.error, name
        assert len(page.dataframe) == 1


def test_what_is_refused_is_told_and_the_page_goes_on(shared_store: Path, visit: Visit) -> None:
    page = visit(shared_store)
    page.text_area[0].set_value("DROP TABLE entries")
    page.button[-1].click().run()
    assert [error.value for error in page.error] == ["The query was refused or stopped."]
    assert "query must be one SELECT statement" in [text.value for text in page.text]
    page.text_area[0].set_value("SELECT 2 AS two")
    page.button[-1].click().run()
    assert not page.error and list(page.dataframe[0].value["two"]) == [2]


def test_values_of_every_kind_are_drawn(shared_store: Path, visit: Visit) -> None:
    values = "unnest([1, NULL]) AS a, 'nan'::FLOAT, {'k': [1]}, NULL, '<b>' AS \"<i>\", [1], true"
    large = "unnest([2, 170141183460469231731687303715884105727]) AS b"
    page = visit(shared_store, sql=f"SELECT {values}, {large}, DATE '2025-01-01'")
    page.button[-1].click().run()
    assert not page.exception and not page.error
    assert len(page.dataframe[0].value) == 2


def test_the_csv_is_no_formula() -> None:
    answer = Answer(["=A1", "n"], [["=cmd()", 1], ['a "b", c', None]], False, 0.1)
    assert as_csv(answer) == '\'=A1,n\r\n\'=cmd(),1\r\n"a ""b"", c",\r\n'


def test_an_answer_is_of_the_votes_as_they_are(writer: StoreWriter, visit: Visit) -> None:
    writer.run({"composition": {"m/a": {"x-1": [1]}}})
    page = visit(writer.path, sql="SELECT count(*) AS n FROM votes")
    page.button[-1].click().run()
    assert list(page.dataframe[0].value["n"]) == [0]
    Store(writer.path).write("votes", "one", [{"vote_id": "one"}])
    page.button[-1].click().run()
    assert list(page.dataframe[0].value["n"]) == [1]
