"""A leaderboard as a LaTeX table; whatever an entry is called, it compiles."""

import re
from collections.abc import Iterator, Sequence

from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.tables.folding_table import Cell
from bakeoff.platform.tables.leaderboard_table import notes_of, table_of

# How characters are spelled that mean something to LaTeX, be it only at the start of a row, where a
# bracket or star would belong to the line break before.
SPELLED = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "–": r"\textendash{}",
    "…": r"\dots{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "⁶": "$^6$",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    **{character: f"{{{character}}}" for character in "[]*`"},
}
LIGATURE = re.compile(r"([-'])(?=\1)")  # two that would become one glyph
FOREIGN = re.compile(r"[^ -~À-ÿ]")  # what a plain LaTeX has no glyph for
TABLE = r"""% needs \usepackage[T1]{{fontenc}} and \usepackage{{booktabs}}
\begin{{tabular}}{{l{alignment}}}
\toprule
{headings} \\
\midrule
{rows}
\bottomrule
\end{{tabular}}

\begin{{itemize}}
{notes}
\end{{itemize}}
"""
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\usepackage[landscape,margin=1cm]{geometry}
\begin{document}
\small
\input{leaderboard}
\end{document}
"""


def as_latex(board: Leaderboard) -> str:
    """Return the table as a terminal shows it, to be put in, and its notes as a list below."""
    table = table_of(board)
    headings = (table.named, *(column.heading for column in table.columns))
    return TABLE.format(
        alignment="r" * len(table.columns),
        headings=" & ".join(map(escaped, headings)),
        rows="\n".join(_rows(board)),
        notes="\n".join(rf"\item {escaped(note)}" for note in notes_of(board)),
    )


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it; a character without a glyph is named by its number."""
    return LIGATURE.sub(r"\1{}", "".join(map(_spelled, text)))


def _spelled(character: str) -> str:
    if character in SPELLED:
        return SPELLED[character]
    if character.isspace():
        return " "
    return FOREIGN.sub(lambda found: f"U+{ord(found[0]):04X}", character)


def _rows(board: Leaderboard) -> Iterator[str]:
    table = table_of(board)
    for line, cells in table.rows(table.columns):
        if line.is_head:
            yield rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{{escaped(line.name)}}} \\"
            continue
        both: Sequence[Cell] = ((line.name, line.remark), *cells)
        yield " & ".join(escaped(above) for above, _ in both) + r" \\"
        if any(below for _, below in both):
            below = (rf"\scriptsize {escaped(below)}" if below else "" for _, below in both)
            yield " & ".join(below) + r" \\"
