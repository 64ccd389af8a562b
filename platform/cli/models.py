"""`bakeoff models`: what a study may name, and what of it is on this machine."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from bakeoff.platform.cli.listing import Item, open_console, print_items
from bakeoff.platform.tables.folding_table import Column, FoldingTable, Line

if TYPE_CHECKING:
    from bakeoff.samplers.model_entry import ModelEntry, Source

USE = (
    "In a study: `model: NAME`, or `path: FOLDER` for a checkpoint of your own; beside it `dtype: "
    "bfloat16` and `compiled: true`, with a `name:` where a model comes twice. `bakeoff models "
    "NAME` tells more of one, `bakeoff fetch NAME` downloads it."
)


def models(
    name: Annotated[
        str | None, typer.Argument(help="A model to tell more of.", show_default="all, in a table")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that a study may name, and which of them are on this machine."""
    from bakeoff.samplers.errors import unknown
    from bakeoff.samplers.models import MODELS

    if name is not None and name not in MODELS:
        raise unknown("model", name, MODELS)
    entries = MODELS.working() if name is None else {name: MODELS[name]}
    if as_json:
        told = [_facts(entry) for entry in entries.values()]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif name is None:
        console = open_console()
        _print_table(entries, console)
        for _, error in MODELS.faults():
            console.print(Text(f"{error}."))
    else:
        print_items(f"{name}: {entries[name].description}", _details(entries[name]))


def _print_table(entries: Mapping[str, "ModelEntry"], console: Console) -> None:
    facts = [_facts(entry) for entry in entries.values()]

    def column(heading: str, cells: Iterator[str]) -> Column:
        return Column(heading, [(cell, "") for cell in cells])

    columns = [
        column("architecture", (fact["architecture"] for fact in facts)),
        column("family", (fact["family"] for fact in facts)),
        column("pixels", (str(fact["resolution"]) for fact in facts)),
        column("state", (fact["state"] for fact in facts)),
        column("files", (_gigabytes(fact["download_gb"]) for fact in facts)),
        column("memory", (_gigabytes(fact["memory_gb"]) for fact in facts)),
        column("licence", (fact["licence"] for fact in facts)),
    ]
    console.print(FoldingTable("Models", [Line(name) for name in entries], columns, "model"))
    console.print(Text(USE))


def _facts(entry: "ModelEntry") -> dict[str, Any]:
    from bakeoff.samplers.fetching import fetched_files, is_here

    if entry.location:
        state = "built in"
    elif is_here(entry):
        state = "here"
    else:
        state = "to fetch" if all(source.is_on_hub for source in entry.sources) else "by hand"
    return {
        "name": entry.name,
        "description": entry.description,
        "architecture": entry.architecture.name,
        "family": entry.family,
        "resolution": entry.resolution,
        "recipe": str(entry.recipe),
        "licence": entry.licence,
        "state": state,
        "folder": str(entry.folder),
        "download_gb": entry.download_gb,
        "memory_gb": entry.memory_gb,
        "sources": [asdict(source) for source in entry.sources],
        "files": [asdict(file) for file in fetched_files(entry)],
    }


def _details(entry: "ModelEntry") -> Iterator[Item]:
    facts = _facts(entry)
    kind = f"{facts['architecture']}, {facts['family']}, {entry.resolution} × {entry.resolution}"
    sizes = f"files {_gigabytes(entry.download_gb)}, memory {_gigabytes(entry.memory_gb)}"
    yield Item("model", f"{kind} pixels", f"licence {entry.licence} · {sizes}")
    yield Item("default recipe", facts["recipe"], "in a study: `recipes: {vanilla: }`")
    yield Item(facts["state"], facts["folder"], _origin(facts["files"]))
    for source in entry.sources:
        yield Item(source.place, ", ".join(source.names), _revision(source))


def _origin(files: list[dict[str, Any]]) -> str:
    """Return the commits that files were fetched at."""
    found = {f"{file['place']} at {file['commit'] or 'no commit: a local copy'}" for file in files}
    return " · ".join(sorted(found))


def _revision(source: "Source") -> str:
    if not source.is_on_hub:
        return "not on the Hugging Face hub: to be got by hand"
    return f"revision {source.revision or 'unknown: the newest, whose commit is noted'}"


def _gigabytes(size: float | None) -> str:
    return "" if size is None else f"{size:.3g} GB"
