"""Which queries a report's numbers came from, kept while they are asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bakeoff.platform.queries.views import FOLDER, VIEWS, Row, Views
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import shown

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """A query as it was first asked: its name, its code, and `name = value` for each parameter."""

    name: str
    code: str
    parameters: tuple[str, ...] = ()


class RecordedViews(Views):
    """The views of a store, which remember what was asked of them."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._asked: dict[str, Query] = {}

    def kept(self, make: Callable[..., T], *asked: str) -> T:
        """Return what `make` returns, made anew: each section tells the queries of its numbers."""
        return make(self, *asked)

    def note(self, name: str, parameters: Row) -> None:
        """Keep the query, if it was not asked before."""
        given = tuple(f"${key} = {shown(value)}" for key, value in sorted(parameters.items()))
        self._asked.setdefault(name, Query(name, _code(name), given))

    def take(self) -> tuple[Query, ...]:
        """Return the queries asked since the last call, each once."""
        asked, self._asked = tuple(self._asked.values()), {}
        return asked


def shared_tables() -> tuple[Query, ...]:
    """Return the code of the tables that queries build on."""
    return tuple(Query(name, _code(name)) for name in VIEWS)


def _code(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
