"""A stranger's SQL may read the snapshot, and nothing else, for a while."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bakeoff.platform.queries.console import LOCKED, LONGEST_QUERY, Answer, Limits, answer, ask
from bakeoff.samplers.errors import InputError

LIMITS = Limits(seconds=1.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a snapshot, and files and a store beside it that nobody may read or write."""
    home = tmp_path_factory.mktemp("home")
    with duckdb.connect(home / "snapshot.duckdb") as connection:
        connection.execute(
            "CREATE TABLE scores AS SELECT range AS id, 0.5 AS value FROM range(2000)"
        )
        connection.execute(f"COPY scores TO '{home / 'secret.parquet'}'")
        connection.execute(f"COPY scores TO '{home / 'secret.csv'}'")
    (home / "store/scores").mkdir(parents=True)
    return home


def files(home: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}


def asked(home: Path, sql: str, limits: Limits = LIMITS) -> Answer:
    """Answer here: starting a process for each attempt would take longer than all of them."""
    return answer(str(home / "snapshot.duckdb"), sql.replace("HOME", str(home)), limits)


def refusal(home: Path, sql: str, limits: Limits = LIMITS) -> str:
    before = files(home)
    with pytest.raises(InputError) as caught:
        asked(home, sql, limits)
    assert files(home) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_select_has_columns_rows_and_seconds(home: Path) -> None:
    found = ask(home / "snapshot.duckdb", "SELECT count(*) AS n, avg(value) AS mean FROM scores;")
    assert (found.columns, found.rows) == (["n", "mean"], [[2000, 0.5]])
    assert not found.is_cut and 0 < found.seconds < 10


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('HOME/secret.csv')",
        "FROM read_parquet('HOME/secret.parquet')",
        "SELECT * FROM read_text('HOME/secret.csv')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM read_json('HOME/secret.csv')",
        "SELECT * FROM glob('HOME/*')",
        "FROM 'HOME/secret.csv'",
        "FROM 'HOME/secret.parquet'",
        "FROM 'https://example.org/a.parquet'",
        "SELECT * FROM parquet_metadata('HOME/secret.parquet')",
        "SELECT * FROM sniff_csv('HOME/secret.csv')",
        "SELECT * FROM sqlite_scan('HOME/snapshot.duckdb', 'scores')",
        "SELECT * FROM query('FROM ''HOME/secret.csv''')",
        "SELECT * FROM query_table('HOME/secret.csv')",
    ],
)
def test_no_file_is_read(home: Path, sql: str) -> None:
    told = refusal(home, sql)
    assert "HOME" not in told and "0.5" not in told


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH 'HOME/other.duckdb'",
        "ATTACH ':memory:' AS other",
        "COPY scores TO 'HOME/stolen.csv'",
        "COPY scores TO 'HOME/store/scores/part-more.parquet'",
        "COPY (SELECT 1) TO 'HOME/store/scores/part-more.parquet' (FORMAT parquet)",
        "EXPORT DATABASE 'HOME/store'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD 'HOME/secret.csv'",
        "INSERT INTO scores VALUES (1, 2)",
        "CREATE TABLE more AS SELECT 1",
        "CREATE TEMP TABLE more AS SELECT 1",
        "CREATE MACRO f(x) AS x",
        "UPDATE scores SET value = 1",
        "DELETE FROM scores",
        "DROP TABLE scores",
        "CHECKPOINT",
        "SET threads = 8",
        "RESET lock_configuration",
        "PRAGMA database_size",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE q AS SELECT 1",
        "SET VARIABLE x = 1",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE scores",
        "",
        "-- nothing",
    ],
)
def test_all_but_one_select_is_refused(home: Path, sql: str) -> None:
    assert refusal(home, sql) == "query must be one SELECT statement"


def test_the_lock_holds_where_a_statement_would_get_through(home: Path) -> None:
    """As DuckDB is set up, what the check for a SELECT keeps out would fail all the same."""
    with duckdb.connect(home / "snapshot.duckdb", config=LOCKED) as connection:
        connection.execute("SET lock_configuration = true")
        for sql in (
            f"ATTACH '{home / 'other.duckdb'}'",
            f"COPY scores TO '{home / 'store/scores/part-more.parquet'}'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "INSERT INTO scores VALUES (1, 2)",
            "CREATE TABLE more AS SELECT 1",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


def test_variables_of_python_and_of_the_machine_are_out_of_reach(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bakeoff.platform.queries.console.stolen", pa.table({"a": [1]}), raising=False
    )
    assert "stolen does not exist" in refusal(home, "SELECT * FROM stolen")
    assert "getenv does not exist" in refusal(home, "SELECT getenv('PATH')")


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT sum(a.id * b.id + c.id) FROM scores a, scores b, scores c",
    ],
)
def test_an_endless_query_is_ended_in_time(home: Path, sql: str) -> None:
    told = refusal(home, sql, Limits(seconds=0.3))
    assert told == "query took more than 0.3 seconds and was ended"


def test_a_process_that_does_not_end_is_killed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.platform.queries.console.GRACE_SECONDS", -0.95)
    with pytest.raises(InputError, match="took more than 1 seconds"):
        ask(home / "snapshot.duckdb", "SELECT 1", LIMITS)


def test_rows_and_texts_are_cut_at_the_limits(home: Path) -> None:
    few = asked(home, "FROM scores ORDER BY id", Limits(rows=3))
    assert few.is_cut and [row[0] for row in few.rows] == [0, 1, 2]
    whole = asked(home, "FROM scores ORDER BY id LIMIT 3", Limits(rows=3))
    assert not whole.is_cut and len(whole.rows) == 3
    long = asked(home, "SELECT repeat('x', 1000000) AS a, [1, 2] AS b", Limits(cell_characters=5))
    assert long.is_cut and long.rows == [["xxxxx", "[1, 2"]]
    many = asked(home, "SELECT repeat('x', 10) FROM scores", Limits(answer_characters=95))
    assert many.is_cut and len(many.rows) == 10


def test_too_many_columns_and_too_long_a_query_are_refused(home: Path) -> None:
    assert refusal(home, "SELECT *, *, * FROM scores", Limits(columns=5)) == (
        "query has 6 columns: 5 are allowed"
    )
    with pytest.raises(InputError, match=f"{LONGEST_QUERY} are allowed"):
        ask(home / "snapshot.duckdb", "SELECT 1 --" + "x" * LONGEST_QUERY)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list(range) FROM range(1000000000)",
        "SELECT string_agg(repeat('x', 100000), ',') FROM scores, scores AS more",
    ],
)
def test_what_takes_too_much_memory_is_refused(home: Path, sql: str) -> None:
    assert "Out of Memory Error" in refusal(home, sql, Limits(20, memory_bytes=50_000_000))


@pytest.mark.parametrize("sql", ["SELECT repeat('x', 2000000000)", "SELECT range(10000000)"])
def test_what_duckdb_does_not_count_ends_the_process_and_not_this_one(home: Path, sql: str) -> None:
    with pytest.raises(InputError, match=r"(?i)memory"):
        ask(home / "snapshot.duckdb", sql, Limits(20, memory_bytes=100_000_000))


def test_what_is_wrong_is_told_in_duckdbs_words(home: Path) -> None:
    assert refusal(home, "SELEC 1") == 'Parser Error: syntax error at or near "SELEC"'
    told = refusal(home, "SELECT valu FROM scores")
    assert told.startswith('Binder Error: Referenced column "valu" not found')
    assert '"value"' in told and "LINE" not in told
    assert "range" in refusal(home, "SELECT 300::TINYINT")
    assert len(refusal(home, "SELECT error(repeat('x', 100000))")) <= 1000


def test_a_time_with_a_zone_is_refused_in_words(home: Path) -> None:
    assert refusal(home, "SELECT now()").endswith("cast it to TIMESTAMP")
    assert asked(home, "SELECT now()::TIMESTAMP < '1990-01-01'").rows == [[False]]


def test_values_of_every_kind_can_be_shown(home: Path) -> None:
    found = asked(
        home,
        "SELECT 1 AS a, 2 AS a, 3 AS A, 1.5, NULL, true, 'nan'::DOUBLE, 9007199254740993::HUGEINT,"
        " 170141183460469231731687303715884105727 AS big, DATE '2025-01-02', "
        "TIMESTAMP '290000-01-01', 'infinity'::TIMESTAMP, '\\x00'::BLOB, {'k': [1]} AS s, "
        "MAP {1: 2}, INTERVAL 1 DAY, uuid() IS NOT NULL",
    )
    assert len(set(found.columns)) == len(found.columns)
    (row,) = found.rows
    assert row[:6] == [1, 2, 3, 1.5, None, True] and row[6] != row[6]
    assert row[7] == 9007199254740993 and row[8] == str(2**127 - 1)
    assert all(isinstance(value, str) for value in row[9:16])
