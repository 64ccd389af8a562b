"""The study file as it is written: YAML, its keys checked, nothing looked up yet."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
)
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bakeoff.samplers.errors import InputError, cut, shown, unknown

MERGE = "tag:yaml.org,2002:merge"  # of the key <<
Pair = tuple[Node, Node]  # a key and its value
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Seed = Annotated[int, Field(ge=0, lt=2**62)]
Threshold = bool | int | float  # whether to stop at a failure, how many stop a run, or which share


def _threshold(value: Any) -> Threshold:
    if isinstance(value, bool):
        return value
    if (isinstance(value, int) and value >= 1) or (isinstance(value, float) and 0 < value < 1):
        return value
    raise ValueError("must be true, false, a count from 1 or a share between 0 and 1")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BenchmarkPart(_Part):
    """Which prompts of a benchmark to take; the first `limit` of each task, or all."""

    name: str
    split: str | None = None
    limit: Annotated[int, Field(ge=1)] | None = None


class SplitPart(_Part):
    """The share of prompts that the best entry is chosen on; the others confirm it."""

    chosen: Annotated[float, Field(gt=0, lt=1)]


class ModelPart(_Part):
    """A model of the catalogue or a checkpoint folder, how it runs, and its recipes by name.

    A recipe is a text, a mapping (`like` names the recipe it starts from, `seed_offset` shifts its
    seeds), or nothing for the model's default. In `grid` every choice may be a list, and each
    combination is a recipe.
    """

    model: str | None = None
    path: str | None = None
    name: Name | None = None
    dtype: str = "float32"
    compiled: bool = False
    recipes: dict[Name, Any] = {}
    grid: Annotated[dict[str, Any], Field(min_length=1)] | None = None


class StudyPart(_Part):
    """A whole study file.

    `fail_on_error` says when a run stops: true at the first image that fails, a count at so many, a
    share at that part of the study's images, false never.
    """

    name: Name
    benchmark: BenchmarkPart | None = None
    prompts: Any = None  # a list of texts or the path of a text file
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    metrics: list[str]
    baseline: str | None = None
    split: SplitPart | None = None
    traces: bool = False
    fail_on_error: Annotated[Threshold, PlainValidator(_threshold)] = False
    models: Annotated[list[ModelPart], Field(min_length=1)]

    @field_validator("benchmark", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


def parse_study(text: str, source: str) -> StudyPart:
    """Return the study that a YAML text spells; `source` names it in errors.

    Raises:
        InputError: it is not YAML, a key is unknown or missing, or a value has the wrong form.
    """
    content = _read_yaml(text, source)
    if not isinstance(content, dict):
        found = "nothing" if content is None else shown(content)
        raise InputError(
            f"{source}: must be a mapping of keys such as name and models, got {found}"
        )
    try:
        return StudyPart.model_validate(content)
    except ValidationError as error:
        raise _sentence(error, source) from None


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing a key that comes twice where YAML would keep the last."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Check the keys as they are written, before merging adds those of other mappings."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, ScalarNode):
                continue
            key = key_node.value if key_node.tag == MERGE else self.construct_object(key_node)
            if key in seen:
                mark = key_node.start_mark
                raise ConstructorError(None, None, f"the name {shown(key)} comes twice", mark)
            seen.add(key)
        return node

    def flatten_mapping(self, node: MappingNode) -> None:
        """Merge: a mapping's own pairs count before merged ones, and the first merged before later.

        By itself, since releases of PyYAML differ in that order, and keeping each pair once: merges
        of merges would repeat it without bound.
        """
        merged: list[Pair] = []
        for key, value in node.value:
            if key.tag == MERGE:
                sources = value.value if isinstance(value, SequenceNode) else [value]
                for source in reversed(sources):
                    if not isinstance(source, MappingNode):
                        problem = "expected a mapping or a list of mappings for merging"
                        raise ConstructorError(None, None, problem, source.start_mark)
                    self.flatten_mapping(source)
                    merged += source.value
        own = [pair for pair in node.value if pair[0].tag != MERGE]
        last = {id(key): (key, value) for key, value in reversed(merged + own)}
        node.value = list(reversed(last.values()))


def _read_yaml(text: str, source: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{source}: {line}{error.problem or 'is not YAML'}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{source}: is not YAML ({cut(str(error).splitlines()[0])})") from error


_OWNERS: dict[str, type[_Part]] = {
    "benchmark": BenchmarkPart,
    "models": ModelPart,
    "split": SplitPart,
}


def _sentence(error: ValidationError, source: str) -> InputError:
    """Return the first of pydantic's errors as one sentence."""
    # a mistyped key also leaves the right one missing: the key is what to tell
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    path, value, kind = first["loc"], first["input"], first["type"]
    where = f"{source}: {_spelled(path)}"
    if kind == "extra_forbidden":
        owner = StudyPart if len(path) == 1 else _OWNERS[str(path[0])]
        above = f"{_spelled(path[:-1])} " if path[:-1] else ""
        return unknown(f"{source}: {above}key", cut(path[-1]), owner.model_fields)
    if kind == "missing":
        return InputError(f"{where} is missing")
    if kind == "string_pattern_mismatch":
        return InputError(f"{where} {shown(value)} must be letters, digits, '.', '_' and '-' only")
    if kind == "too_short":
        return InputError(f"{where} is empty: give at least one")
    message = first["msg"].replace("Input should", "must").removeprefix("Value error, ")
    return InputError(f"{where} {message[0].lower()}{message[1:]}, got {shown(value)}")


def _spelled(path: tuple[int | str, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{cut(step)}" for step in path)
    return text.removeprefix(".").removesuffix(".[key]")


def read_text(file: Path) -> str:
    """Return the text of a study file.

    Raises:
        InputError: it cannot be read or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"study {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"study {file} is not UTF-8 text") from error
