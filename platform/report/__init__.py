"""A study as one HTML file that needs no other: it loads nothing, and runs nothing."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bakeoff.platform.conclusions.leaderboard import Leaderboard, leaderboard
from bakeoff.platform.queries.views import Views
from bakeoff.platform.report.asked import RecordedViews, shared_tables
from bakeoff.platform.report.costs import cost_section, fronts_section
from bakeoff.platform.report.gallery import gallery_section
from bakeoff.platform.report.origin import failures, origin, recipes
from bakeoff.platform.report.section import Section
from bakeoff.platform.report.standings import (
    equal_terms_section,
    scores_section,
    standings_section,
    wins_section,
)
from bakeoff.platform.report.summary import summary
from bakeoff.platform.store.store import Store
from bakeoff.platform.tables.colors import model_colors


def report(store: Store, study: str | None = None) -> str:
    """Return the page of a study, by default the one run last; the same for the same store.

    Raises:
        InputError: the store holds no run, the study is unknown, or a part is damaged.
    """
    views = RecordedViews(store)
    board = leaderboard(views, study)
    sections = [*_answered(views, board)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        board=board,
        summary=[*summary(board, views.query("failure_kinds", study=board.study))],
        newest=next(iter(views.query("study_runs", study=board.study, count=1))),
        sections=sections,
        shared_tables=shared_tables(),
        colors=model_colors(standing.model for standing in board.standings),
        version=version("bakeoff"),
    )


def _answered(views: RecordedViews, board: Leaderboard) -> Iterator[Section]:
    """Yield what there is to show, each section with the queries that it asked."""
    for section in _sections(views, board):
        queries = views.take()
        if section:
            yield replace(section, queries=queries)


def _sections(views: Views, board: Leaderboard) -> Iterator[Section | None]:
    """Yield the sections in the order of the page, None for one without anything to show."""
    yield standings_section(board)
    yield wins_section(views, board)
    yield scores_section(board)
    yield equal_terms_section(views, board, "steps")
    yield equal_terms_section(views, board, "compute")
    yield fronts_section(views, board)
    yield cost_section(views, board)
    yield gallery_section(views, board)
    yield failures(views, board)
    yield recipes(board)
    yield origin(views, board)
