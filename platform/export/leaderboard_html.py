"""A leaderboard as one web page that needs no other file and runs nothing."""

from collections.abc import Iterator
from html import escape

from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.tables.folding_table import Cell
from bakeoff.platform.tables.leaderboard_table import notes_of, table_of

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2rem; color: #222 }}
table {{ border-collapse: collapse }}
th, td {{ padding: 0.3rem 0.8rem; text-align: right; vertical-align: top }}
th:first-child, td:first-child, .texts * {{ text-align: left }}
thead th {{ border-bottom: 1px solid #222 }}
tbody th {{ padding-top: 0.8rem }}
small {{ display: block; color: #666 }}
li {{ max-width: 50rem }}
</style>
<h1>{title}</h1>
<table>
<thead><tr>{headings}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<ul>
{notes}
</ul>
<h2>Recipes</h2>
<table class="texts">
<thead><tr><th>entry</th><th>recipe</th></tr></thead>
<tbody>
{recipes}
</tbody>
</table>
</html>
"""


def as_html(board: Leaderboard) -> str:
    """Return the page: the table as a terminal shows it, its notes, and each entry's recipe."""
    table = table_of(board)
    headings = (table.named, *(column.heading for column in table.columns))
    return PAGE.format(
        title=escape(table.title),
        headings="".join(f"<th>{escape(heading)}</th>" for heading in headings),
        rows="\n".join(_rows(board)),
        notes="\n".join(f"<li>{escape(note)}</li>" for note in notes_of(board)),
        recipes="\n".join(_row([(s.entry, ""), (s.recipe, "")]) for s in board.standings),
    )


def _rows(board: Leaderboard) -> Iterator[str]:
    table = table_of(board)
    for line, cells in table.rows(table.columns):
        if line.is_head:
            yield f'<tr><th colspan="{len(table.columns) + 1}">{escape(line.name)}</th></tr>'
        else:
            yield _row([(line.name, line.remark), *cells])


def _row(cells: list[Cell]) -> str:
    return f"<tr>{''.join(f'<td>{_cell(*cell)}</td>' for cell in cells)}</tr>"


def _cell(above: str, below: str) -> str:
    return escape(above) + (f"<small>{escape(below)}</small>" if below else "")
