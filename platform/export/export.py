"""Exports: a store's tables and its leaderboard in the formats of other programs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from bakeoff.platform.conclusions.leaderboard import Leaderboard, leaderboard
from bakeoff.platform.export.dataset_folder import write_dataset
from bakeoff.platform.export.flat_tables import write_leaderboard, write_tables
from bakeoff.platform.export.leaderboard_html import as_html
from bakeoff.platform.export.leaderboard_latex import DOCUMENT, as_latex
from bakeoff.platform.queries.views import Views
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError, shown, unknown


def export(store: Store, form: str, folder: Path, study: str | None = None) -> None:
    """Write a store in one of `FORMS` into a folder that is new or empty, or nothing at all.

    Raises:
        InputError: the format or study is unknown, the folder is not empty or cannot be written,
            the store has nothing to export, or a part of it is damaged.
    """
    if form not in FORMS:
        raise unknown("--to", form, FORMS)
    if isinstance(store.path, Path) and folder.resolve().is_relative_to(store.path.resolve()):
        raise InputError(f"folder {shown(str(folder))} must not lie in the store itself")
    with _filled(folder):
        FORMS[form](store, folder, study)


def _csv(store: Store, folder: Path, study: str | None) -> None:
    write_leaderboard(_board(store, study), folder)
    write_tables(store, folder)


def _latex(store: Store, folder: Path, study: str | None) -> None:
    _text(folder / "leaderboard.tex", as_latex(_board(store, study)))
    _text(folder / "document.tex", DOCUMENT)


def _html(store: Store, folder: Path, study: str | None) -> None:
    _text(folder / "leaderboard.html", as_html(_board(store, study)))


def _datasets(store: Store, folder: Path, study: str | None) -> None:
    if study is not None:
        raise InputError("--study does not go with --to datasets, which holds all samples")
    write_dataset(store, folder)


FORMS: dict[str, Callable[[Store, Path, str | None], None]] = {
    "csv": _csv,
    "latex": _latex,
    "html": _html,
    "datasets": _datasets,
}


def _board(store: Store, study: str | None) -> Leaderboard:
    return leaderboard(Views(store), study)


def _text(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Make a folder to be filled, and empty it again if that fails."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"folder {shown(str(folder))} must be new or empty")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for content in folder.iterdir() if folder.is_dir() else ():
            rmtree(content) if content.is_dir() else content.unlink()
        if isinstance(error, InputError) or not isinstance(error, OSError):
            raise
        where = shown(str(folder))
        raise InputError(f"folder {where} cannot be written: {error.strerror}") from error
