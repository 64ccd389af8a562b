"""A store's tables and its leaderboard as CSV, for spreadsheets and statistics programs."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import CSVWriter, write_csv

from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.comparisons import Comparison
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.queries.views import Row
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store

LEFT_OUT = ("image", "tokens", "vector")  # long, and no figures
FORMULA = r"^([=+\-@\t\r])"  # how a text begins that a spreadsheet would run


def write_tables(store: Store, folder: Path) -> None:
    """Write every table into TABLE.csv, part by part.

    Images, tokens and feature vectors are left out; other nested values are JSON.

    Raises:
        InputError: a part cannot be read.
    """
    for table, schema in TABLES.items():
        columns = [name for name in schema.names if name not in LEFT_OUT]
        shape = _flat(schema.empty_table().select(columns)).schema
        with CSVWriter(folder / f"{table}.csv", shape) as file:
            for part in store.parts(table):
                file.write_table(_flat(store.read_part(part, columns)))


def write_leaderboard(board: Leaderboard, folder: Path) -> None:
    """Write a leaderboard into leaderboard.csv."""
    (folder / "leaderboard.csv").write_bytes(as_csv(leaderboard_rows(board)))


def as_csv(rows: Sequence[Row]) -> bytes:
    """Return rows of the same columns, one at least, as a CSV file."""
    table = _flat(pa.Table.from_pylist(rows))
    file = BytesIO()
    write_csv(table, file)
    return file.getvalue()


def leaderboard_rows(board: Leaderboard) -> list[Row]:
    """Return one row an entry: every figure with its n and its interval."""
    return [_row(board, standing) for standing in board.standings]


def _row(board: Leaderboard, standing: Standing) -> Row:
    row: dict[str, Any] = {"study": board.study, "entry": standing.entry, "model": standing.model}
    row |= {"weights_hash": standing.weights_hash, "recipe": standing.recipe}
    row |= {"dtype": standing.dtype, "compiled": standing.compiled}
    row |= {"is_baseline": standing.is_baseline, "is_control": standing.is_control}
    row |= {"is_chosen": standing.is_chosen}
    row |= {"samples": standing.samples, "prompts": standing.prompts}
    for info in board.metrics:
        row |= _estimate(info.name, standing.scores.get(info.name))
    wins = standing.wins
    row |= _estimate(f"win_rate_{board.decided_by}", wins.estimate if wins else None)
    row |= {"pairs_without_score": wins.missing if wins else None}
    row |= _verdict(board, standing.comparison)
    row |= {"seconds_per_image": standing.seconds_per_image, "is_typical": standing.is_typical}
    row |= {"batch_size": standing.batch_size, "device": standing.device}
    row |= {"row_evaluations": standing.row_evaluations}
    return row | {"peak_memory_bytes": standing.peak_memory_bytes}


def _verdict(board: Leaderboard, comparison: Comparison | None) -> Row:
    decision = comparison.decision if comparison else None
    return {
        **_estimate(
            f"difference_{board.decided_by}", comparison.difference if comparison else None
        ),
        "verdict": decision.verdict if decision else None,
        "p_value_corrected": decision.p_value if decision else None,
        "comparisons": board.family,
        "further_prompts": decision.further_prompts if decision else None,
    }


def _estimate(name: str, estimate: Estimate | None) -> Row:
    low, high = (estimate and estimate.interval) or (None, None)
    return {
        name: estimate.value if estimate else None,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_prompts": estimate.prompts if estimate else 0,
        f"{name}_samples": estimate.samples if estimate else 0,
    }


def _flat(table: pa.Table) -> pa.Table:
    """Return a table of plain values, none of whose texts a spreadsheet takes for a formula."""
    return pa.table({name: _plain(table[name]) for name in table.schema.names})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_nested(column.type):
        return pa.array([_json(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_string(column.type):  # an apostrophe is how spreadsheets mark a text
        return pc.replace_substring_regex(column, pattern=FORMULA, replacement=r"'\1")
    return column


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
