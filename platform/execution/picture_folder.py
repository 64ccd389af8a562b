"""A folder of finished pictures and its `metadata.jsonl`: one JSON object a line, one a picture.

All of it is untrusted: a name may not lead out of the folder, and Pillow opens three formats alone.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bakeoff.platform.studies.benchmarks import OWN_PROMPTS, Prompt, own_prompts
from bakeoff.platform.studies.study_file import Name, Seed
from bakeoff.samplers.errors import InputError, cut, shown, unknown

METADATA = "metadata.jsonl"
FORMATS = ("PNG", "JPEG", "WEBP")
MODEL, RECIPE = "images", "finished"  # of pictures of which nothing is told
NAMED_SO = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = 64  # characters of a name, as in a study
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


class Row(BaseModel):
    """A line of `metadata.jsonl`.

    `recipe` is how the picture was made, in any words; `entry` the name of model and recipe in
    tables, as MODEL/NAME. `prompt_id`, `task` and `expectation` are as in a benchmark.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file_name: Text
    prompt: Text
    model: Name | None = None
    recipe: Text | None = None
    entry: Text | None = None
    seed: Seed | None = None
    prompt_id: Text | None = None
    task: Text = OWN_PROMPTS
    expectation: dict[str, Any] | None = None


@dataclass(frozen=True)
class Picture:
    """A finished picture and what made it; `line` is that of the metadata.

    Without a seed of its own, a picture's is its number among those of its entry and prompt.
    """

    line: int
    file: Path
    entry: str
    model: str
    recipe: str
    prompt: Prompt
    seed: int

    def pixels(self) -> NDArray[np.uint8]:
        """Return the pixels [H, W, 3].

        Raises:
            OSError: there is no such file, or it is no picture of `FORMATS`.
        """
        try:
            with Image.open(self.file, formats=FORMATS) as image:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except OSError:
            raise
        except Exception as error:  # what Pillow may raise on any bytes
            raise OSError(f"{type(error).__name__}: {error}") from error


def read_pictures(folder: Path) -> tuple[Picture, ...]:
    """Return the pictures that a folder's metadata tells of, in its order; none is opened.

    Raises:
        InputError: there is no metadata or a line of it is wrong, a name leads out of the folder,
            or lines contradict each other.
    """
    rows = list(_rows(folder))
    if not rows:
        raise InputError(f"{folder / METADATA} is empty: give a line for each picture")
    pictures = []
    numbers = Counter[tuple[str, str]]()
    for line, row in rows:
        try:
            picture = _picture(folder, line, row, numbers)
        except InputError as error:
            raise InputError(f"{METADATA}:{line}: {error}") from None
        pictures.append(picture)
    _agree(pictures, "prompt_id", lambda one: one.prompt.prompt_id, lambda one: one.prompt)
    _agree(pictures, "entry", lambda one: one.entry, lambda one: one.recipe)
    _agree(pictures, "model and recipe", lambda one: (one.model, one.recipe), lambda one: one.entry)
    _agree(
        pictures,
        "entry, prompt and seed",
        lambda one: (one.entry, one.prompt.prompt_id, one.seed),
        lambda one: one.line,
    )
    return tuple(pictures)


def _rows(folder: Path) -> Iterator[tuple[int, Row]]:
    file = folder / METADATA
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text") from error
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            yield line, _row(content, line)


def _row(content: str, line: int) -> Row:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{METADATA}:{line}: is not JSON ({cut(str(error))})") from error
    if not isinstance(told, dict):
        raise InputError(f'{METADATA}:{line}: must be an object such as {{"file_name": …}}')
    try:
        return Row.model_validate(told)
    except ValidationError as error:
        raise InputError(f"{METADATA}:{line}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    name = cut(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return str(unknown("key", name, Row.model_fields))
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "string_pattern_mismatch":
        return f"{name} {shown(first['input'])} must be letters, digits, '.', '_' and '-' only"
    return f"{name} {first['msg'].replace('Input should', 'must')}, got {shown(first['input'])}"


def _picture(folder: Path, line: int, row: Row, numbers: Counter[tuple[str, str]]) -> Picture:
    entry, model, recipe = _names(row)
    (own,) = own_prompts([row.prompt], "prompt")
    for name in ("task", "prompt_id", "recipe"):
        if (text := getattr(row, name)) is not None and not text.isprintable():
            raise InputError(f"{name} {shown(text)} holds a line break or control character")
    prompt = Prompt(row.prompt_id or own.prompt_id, own.prompt, row.task, row.expectation)
    seed = row.seed
    if seed is None:
        seed = numbers[entry, prompt.prompt_id]
        numbers[entry, prompt.prompt_id] += 1
    return Picture(line, _inside(folder, row.file_name), entry, model, recipe, prompt, seed)


def _names(row: Row) -> tuple[str, str, str]:
    """Return the names of entry and model, and the recipe; each may follow from the others."""
    head, slash, tail = (row.entry or "").partition("/")
    if row.entry and not (slash and head == (row.model or head) and _is_name(head, tail)):
        wanted = f"{row.model or 'MODEL'}/NAME"
        raise InputError(f"entry {shown(row.entry)} must be {wanted}, of letters, digits, . _ -")
    model = head or row.model or MODEL
    recipe = row.recipe or tail or RECIPE
    name = tail or NAMED_SO.sub("-", recipe).strip("-._")[:LONGEST] or RECIPE
    return f"{model}/{name}", model, recipe


def _is_name(*names: str) -> bool:
    return all(name and len(name) <= LONGEST and not NAMED_SO.search(name) for name in names)


def _inside(folder: Path, name: str) -> Path:
    """Return the file of a name, which may lie in folders below, and nowhere else."""
    try:
        file = (folder / name).resolve()
        inside = file.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # null characters, links in a circle
        raise InputError(f"file_name {shown(name)} is no name of a file") from error
    if not inside or Path(name).is_absolute():
        raise InputError(f"file_name {shown(name)} leads out of the folder")
    return file


def _agree(
    pictures: Sequence[Picture],
    what: str,
    key: Callable[[Picture], Hashable],
    told: Callable[[Picture], object],
) -> None:
    """Check that lines of one key tell the same."""
    first: dict[Hashable, Picture] = {}
    for picture in pictures:
        other = first.setdefault(key(picture), picture)
        if told(other) != told(picture):
            raise InputError(
                f"{METADATA}:{picture.line}: has the {what} of line {other.line}, "
                "but is not the same"
            )
