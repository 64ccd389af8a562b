"""Where a report's numbers come from: what failed, recipes, runs, versions, hashes, the study."""

from collections.abc import Iterator, Mapping

from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.report.section import Drawing, Section
from bakeoff.platform.tables.folding_table import Column, FoldingTable, Line

RUNS = 50  # the newest; a study that is resumed often has many
LONGEST = 400  # characters of a message
NOTHING = "–"


def failures(views: Views, board: Leaderboard) -> Section:
    """Return what failed, by kind."""
    rows = views.query("failure_kinds", study=board.study)
    if not rows:
        return Section("Failures", ["Nothing failed."])
    columns = [
        Column(name, [(str(row[name]), "") for row in rows])
        for name in ("entries", "samples", "mended", "tries")
    ]
    columns.append(Column("one message", [(_cut(row["message"]), "") for row in rows]))
    lines = [Line(f"{row['stage']}: {row['error_type']}") for row in rows]
    title = "Samples that failed, by stage and error"
    notes = ["Mended: samples that a later try made or scored. The others are in no number above."]
    return Section(
        "Failures",
        drawings=[Drawing(FoldingTable(title, lines, columns, "kind"), is_text=True)],
        notes=notes,
    )


def recipes(board: Leaderboard) -> Section:
    """Return every entry's choices in full."""
    lines = [Line(standing.entry) for standing in board.standings]
    columns = [
        Column("recipe", [(standing.recipe, "") for standing in board.standings]),
        Column("computed in", [(_way(s.dtype, s.compiled), "") for s in board.standings]),
        Column("weights", [(standing.weights_hash[:16], "") for standing in board.standings]),
    ]
    table = FoldingTable("Each entry's design choices; what is not named is as in vanilla of "
                         "its model's family", lines, columns)  # fmt: skip
    return Section("Recipes", drawings=[Drawing(table, is_text=True)])


def origin(views: Views, board: Leaderboard) -> Section:
    """Return the runs of the study, and in folds what they ran with."""
    rows = views.query("study_runs", study=board.study, count=RUNS)
    columns = [
        Column("started (UTC)", [(f"{row['started']:%Y-%m-%d %H:%M:%S}", "") for row in rows]),
        Column("device", [(_text(row["device"]), "") for row in rows]),
        Column("workers", [(_text(row["workers"]), "") for row in rows]),
        Column("batch size", [(_text(row["batch_size"]), "") for row in rows]),
        Column("git revision", [(_text(row["git_revision"]), "") for row in rows]),
    ]
    title = "Runs of the study, the newest first" + (
        f" ({RUNS} of them)" if len(rows) == RUNS else ""
    )
    table = FoldingTable(title, [Line(row["run_id"]) for row in rows], columns, "run")
    return Section("Provenance", drawings=[Drawing(table, is_text=True)], folded=[*_folds(rows)])


def _folds(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """Yield the study and its surroundings, those of the newest run first; what is alike once."""
    seen = set()
    for row in rows:
        for title, text in (
            ("Study", row["study_text"] or ""),
            ("Versions", _lines(row["versions"])),
            ("Hashes (SHA-256) of model files", _lines(row["files"])),
        ):
            if text and (title, text) not in seen:
                seen.add((title, text))
                yield f"{title} of run {row['run_id']}", text


def _lines(pairs: Mapping[str, str] | None) -> str:
    return "\n".join(f"{name} {value}" for name, value in (pairs or {}).items())


def _way(dtype: str | None, compiled: bool | None) -> str:
    return f"{dtype or NOTHING}{', compiled' if compiled else ''}"


def _text(value: object) -> str:
    return NOTHING if value is None else str(value)


def _cut(text: str | None) -> str:
    whole = text or ""
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} …"
