"""What other installed packages add by name: models, metrics and benchmarks, by entry points.

A package tells names in its metadata, which is read without running it; the code behind a name is
imported when a study asks for that name. What is offered wrongly is told in one sentence where it
is named or listed, and touches nothing else.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from bakeoff.samplers.errors import InputError, cut, shown

GROUPS = {
    "model": "bakeoff.samplers",
    "metric": "bakeoff.metrics",
    "benchmark": "bakeoff.benchmarks",
}
LONGEST_REASON = 240
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as in a study
Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry]):
    """Bakeoff's own entries by name, and those of other packages.

    `what` is a key of `GROUPS`; `kind` is what an entry point must lead to; `check` refuses an
    entry under a name by a ValueError. Bakeoff's own names cannot be taken: a study means the same
    on every machine. To look up what another package offers wrongly raises an InputError.
    """

    def __init__(
        self,
        what: str,
        kind: type[Entry],
        own: dict[str, Entry],
        check: Callable[[str, Entry], None] = lambda name, entry: None,
    ) -> None:
        self.what, self.own, self._kind, self._check = what, own, kind, check
        self._loaded: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in self._offered if name not in self.own)

    def __len__(self) -> int:
        return len(self.own.keys() | self._offered.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._offered

    def __getitem__(self, name: str) -> Entry:
        if name in self.own:
            return self.own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._offered[name])
        return self._loaded[name]

    def find(self, name: str) -> Entry | None:
        """Return an entry; None if it is not known here, or offered wrongly."""
        try:
            return self[name]
        except (KeyError, InputError):
            return None

    def working(self) -> dict[str, Entry]:
        """Return the entries that can be used, by their names; the others are in `faults`."""
        found = {name: self.find(name) for name in self}
        return {name: entry for name, entry in found.items() if entry is not None}

    def faults(self) -> Iterator[tuple[str, InputError]]:
        """Yield each name that another package offers wrongly, or in vain, and the reason."""
        for name in self:
            try:
                self[name]
            except InputError as error:
                yield name, error
        yield from self.left_out()

    def left_out(self) -> Iterator[tuple[str, InputError]]:
        """Yield each of Bakeoff's names that another package offers in vain, and the reason."""
        for name in self.own:
            for offer in self._offered.get(name, ()):
                reason = "is left out: Bakeoff has its own of that name"
                yield name, InputError(f"{self._told(name, offer)} {reason}")

    @cached_property
    def _offered(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in sorted(entry_points(group=GROUPS[self.what]), key=_package):
            found.setdefault(point.name, []).append(point)
        return found

    def _load(self, name: str, offers: list[EntryPoint]) -> Entry:
        if len(offers) > 1:
            packages = " and ".join(map(_package, offers))
            raise InputError(
                f"{self.what} {cut(name)!r} is offered by {packages}: uninstall all but one"
            )
        told = self._told(name, offers[0])
        if not NAME.fullmatch(name):
            raise InputError(f"{told} must be named by letters, digits, '.', '_' and '-' only")
        try:
            entry = offers[0].load()
        except Exception as error:  # whatever a stranger's module may raise
            raise InputError(f"{told} cannot be imported ({spelled(error)})") from error
        if not isinstance(entry, self._kind):
            raise InputError(f"{told} must be a {self._kind.__name__}, got {shown(entry)}")
        try:
            self._check(name, entry)
        except ValueError as error:
            raise InputError(f"{told}: {error}") from error
        return entry

    def _told(self, name: str, offer: EntryPoint) -> str:
        return f"{self.what} {cut(name)!r} of package {_package(offer)}"


def packages() -> dict[str, str]:
    """Return the versions of the packages that add anything, by their names."""
    found = (point.dist for group in GROUPS.values() for point in entry_points(group=group))
    return {dist.name: dist.version for dist in found if dist}


def spelled(error: BaseException) -> str:
    """Return a library's exception in one line, long enough to name a weight and its shapes."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "no name"
