"""How the command line writes on a terminal or into a pipe, and lists what a study may name."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.plugins import Registry

PIPED_WIDTH = 120  # columns when the output is no terminal and COLUMNS says nothing
INDENT = 2
UNUSABLE = "cannot be used"
Entry = TypeVar("Entry")


class Item(NamedTuple):
    """Something that a study may name: what it is, and facts in one line."""

    name: str
    sentence: str
    facts: str


def open_console() -> Console:
    """Return the console of the standard output."""
    console = Console(highlight=False)
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return Console(highlight=False, width=PIPED_WIDTH)


def items_of(registry: Registry[Entry], item: Callable[[str, Entry], Item]) -> Iterator[Item]:
    """Yield an item for each entry; of one that cannot be used, why."""
    for name in registry:
        try:
            yield item(name, registry[name])
        except InputError as error:
            yield Item(name, f"{error}.", UNUSABLE)
    for name, reason in registry.left_out():
        yield Item(name, f"{reason}.", UNUSABLE)


def print_items(title: str, items: Iterable[Item]) -> None:
    """Print items one below the other: lines break between words, at any width."""
    console = open_console()
    console.print(Text(title))
    for item in items:
        console.print()
        console.print(Text(item.name, style="bold"))
        for text in (Text(item.sentence), Text(item.facts, style="dim")):
            console.print(Padding(text, (0, 0, 0, INDENT), expand=False))
