"""SQL: one SELECT over a snapshot of the store, in a process of its own."""

import csv
import re
from html import escape
from io import StringIO
from itertools import groupby
from pathlib import Path

import streamlit as st

from bakeoff.dashboards.look import heading, refused
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.export.flat_tables import FORMULA
from bakeoff.platform.queries.console import LONGEST_QUERY, Answer, Cell, Limits, ask
from bakeoff.platform.queries.snapshot import snapshot
from bakeoff.platform.queries.views import Views
from bakeoff.samplers.errors import InputError

EXAMPLES = {
    "mean scores": """SELECT metric, entry, count(DISTINCT prompt_id) AS prompts, avg(value) AS mean
FROM entry_scores
GROUP BY metric, entry
ORDER BY metric, mean DESC""",
    "hardest prompts": """SELECT prompt, metric, count(*) AS scores, avg(value) AS mean
FROM entry_scores
JOIN asked_prompts USING (study, prompt_id)
GROUP BY prompt, metric
ORDER BY mean
LIMIT 20""",
    "seconds an image by stage": """SELECT
    entry,
    stage,
    count(*) AS batches,
    median(seconds / images) AS p50,
    quantile_cont(seconds / images, 0.9) AS p90
FROM profiles
JOIN (SELECT DISTINCT entry, shard_id FROM entry_samples) USING (shard_id)
WHERE warm
GROUP BY entry, stage
ORDER BY entry, p50 DESC""",
    "failures": """SELECT stage, error_type, message, count(*) AS times
FROM failures
GROUP BY ALL
ORDER BY times DESC""",
    "entropy by step": """SELECT entry, step, count(*) AS samples, avg(entropy) AS entropy
FROM traces
JOIN entry_samples USING (sample_id)
GROUP BY entry, step
ORDER BY entry, step""",
    "votes": """SELECT left_model, right_model, count(*) AS votes, avg(result) AS left_preferred
FROM votes
GROUP BY ALL
ORDER BY votes DESC""",
    "runs": "SELECT * FROM runs ORDER BY started DESC",
}
FIRST = next(iter(EXAMPLES))
STYLE = """<style>
.tables { font-size: 0.85rem; line-height: 1.7; overflow-wrap: anywhere; }
.tables summary { cursor: pointer; }
</style>"""
COLUMNS = """SELECT table_name, column_name
FROM duckdb_columns()
WHERE NOT internal
ORDER BY table_name, column_index"""


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw the query, its answer, and the tables that it may name."""
    heading("SQL", board)
    votes = f" {views.store.fingerprint('votes')}" if views.store.parts("votes") else ""
    file = _snapshot(views, key + votes)
    limits = Limits()
    st.caption(
        "One SELECT, as DuckDB speaks it, over a snapshot of the store without pictures: "
        f"{limits.seconds:g} seconds, {limits.rows:,} rows and "
        f"{limits.memory_bytes / 1e9:g} GB of memory at most."
    )
    left, right = st.columns([3, 1])
    with right:
        _tables(file)
    with left:
        sql, is_asked = _query()
        if is_asked:
            st.session_state["answered"] = (sql, _answer(file, sql))
        asked, answer = st.session_state.get("answered", (None, None))
        if asked == sql:
            _show(answer)


@st.cache_resource(max_entries=2, show_spinner="Taking a snapshot of the store …")
def _made(_views: Views, key: str) -> Path:
    _views.renew("votes")
    return snapshot(_views, key)


def _snapshot(views: Views, key: str) -> Path:
    """Return the snapshot, also if somebody has emptied the cache since."""
    if not _made(views, key).exists():
        _made.clear()
    return _made(views, key)


@st.cache_resource(max_entries=4, show_spinner=False)
def _columns(file: Path) -> dict[str, list[str]]:
    rows = ask(file, COLUMNS).rows
    return {
        str(table): [str(column) for _, column in own]
        for table, own in groupby(rows, key=lambda row: row[0])
    }


def _tables(file: Path) -> None:
    folded = "".join(
        f"<details><summary>{escape(table)}</summary>{escape(', '.join(columns))}</details>"
        for table, columns in _columns(file).items()
    )
    st.html(f"{STYLE}<div class='tables'><strong>Tables</strong>{folded}</div>")


def _query() -> tuple[str, bool]:
    """Return the query as it stands, and whether people have just asked it."""

    def take(name: str) -> None:
        st.session_state["sql"] = EXAMPLES[name]

    with st.container(horizontal=True):
        for name in EXAMPLES:
            st.button(name, type="tertiary", on_click=take, args=(name,))
    if "sql" not in st.session_state and "sql" not in st.query_params:
        st.session_state["sql"] = EXAMPLES[FIRST]
    with st.form("query", border=False):
        sql = st.text_area(
            "Query",
            key="sql",
            bind="query-params",
            height=220,
            max_chars=LONGEST_QUERY,
        )
        return sql, st.form_submit_button("Run", type="primary")


def _answer(file: Path, sql: str) -> Answer | InputError:
    try:
        with st.spinner("Asking …"):
            return ask(file, sql)
    except InputError as error:
        return error


def _show(answer: Answer | InputError) -> None:
    if isinstance(answer, InputError):
        refused("The query was refused or stopped.", answer)
        return
    cut = ", cut at the limits" if answer.is_cut else ""
    st.text(f"{len(answer.rows):,} rows in {answer.seconds:.2f} s{cut}")
    columns = {name: [row[at] for row in answer.rows] for at, name in enumerate(answer.columns)}
    st.dataframe(columns, hide_index=True, width="stretch", placeholder="–")
    st.download_button("CSV", lambda: as_csv(answer), "answer.csv", "text/csv")


def as_csv(answer: Answer) -> str:
    """Return the answer for spreadsheets, none of whose texts is a formula to them."""
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow([_inert(name) for name in answer.columns])
    writer.writerows([_inert(cell) for cell in row] for row in answer.rows)
    return file.getvalue()


def _inert(cell: Cell) -> Cell:
    return re.sub(FORMULA, r"'\1", cell) if isinstance(cell, str) else cell
