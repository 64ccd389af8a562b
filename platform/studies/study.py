"""A study: models × recipes on prompts and seeds, judged by metrics, with all of it checked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from bakeoff.platform.studies.benchmarks import (
    BENCHMARKS,
    OWN_PROMPTS,
    Benchmark,
    Prompt,
    first_of_each_task,
    own_prompts,
    read_prompts,
)
from bakeoff.platform.studies.metrics import check_metrics
from bakeoff.platform.studies.study_file import (
    ModelPart,
    StudyPart,
    Threshold,
    parse_study,
    read_text,
)
from bakeoff.samplers.catalog import (
    MODELS,
    check_dtype,
    check_recipe,
    find_model,
    weight_files,
    weights_hash,
)
from bakeoff.samplers.errors import InputError, cut, shown, unknown
from bakeoff.samplers.recipe import BUDGET, Recipe

SHIPPED = Path(__file__).parent
DEFAULT_RECIPE = "default"  # in `like`: the recipe that the catalogue gives a model
UNKNOWN_WEIGHTS = "unknown"  # in place of a hash


@dataclass(frozen=True)
class Model:
    """A model of a study: its name there, and what `load_sampler` finds it by.

    One without a location made its pictures elsewhere, and how is not known.
    """

    name: str
    location: str | None  # catalogue name or absolute folder
    family: str
    dtype: str | None = "float32"
    compiled: bool = False

    def weights_hash(self) -> str:
        """Return the hash that its samples are known by.

        Raises:
            InputError: its files are missing, or do not run so.
        """
        if self.location is None:
            return UNKNOWN_WEIGHTS
        return weights_hash(self.location, str(self.dtype), compiled=self.compiled)

    def check(self, recipe: "Recipe | ToldRecipe") -> None:
        """Check that a recipe suits the model; loads no weights.

        Raises:
            InputError: it does not.
        """
        if self.location is not None and isinstance(recipe, Recipe):
            check_recipe(self.location, recipe)

    def files(self) -> Mapping[str, str]:
        """Return the hash of each of its files."""
        return {} if self.location is None else weight_files(self.location)


@dataclass(frozen=True)
class ToldRecipe:
    """How pictures were made elsewhere, in words that are no recipe of Bakeoff's."""

    text: str

    @property
    def recipe_id(self) -> str:
        """A hash of the words."""
        return sha256(self.text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Entry:
    """One competitor: a model under a recipe, with its own seeds."""

    name: str  # model/recipe
    model: Model
    recipe: Recipe | ToldRecipe
    seeds: tuple[int, ...]
    baseline: bool = False


@dataclass(frozen=True)
class Study:
    """Everything that a run needs to know; made by `load_study`, all names resolved."""

    name: str
    text: str  # the YAML
    benchmark: str
    prompts: tuple[Prompt, ...]
    entries: tuple[Entry, ...]
    metrics: tuple[str, ...]
    traces: bool = False  # whether the steps of every sample are stored
    fail_on_error: Threshold = False

    @property
    def images(self) -> int:
        """The number of samples that the study wants."""
        return len(self.prompts) * sum(len(entry.seeds) for entry in self.entries)

    @property
    def is_made_elsewhere(self) -> bool:
        """Whether its pictures are finished ones of any generator, which are only scored here."""
        return all(entry.model.location is None for entry in self.entries)

    def is_failing(self, failed: int) -> bool:
        """Whether so many failed images of a run are more than the study puts up with."""
        limit = self.fail_on_error
        if isinstance(limit, bool):
            return limit and failed > 0
        return failed >= (limit * self.images if isinstance(limit, float) else limit) and failed > 0


def shipped_studies() -> list[str]:
    """Return the names of the studies that come with Bakeoff."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def load_study(name_or_path: str, *, limit: int | None = None) -> Study:
    """Return a shipped study by its name, or the study of a file; `limit` overrides the file's.

    `studies/NAME.yaml` is the shipped study of that name where no such file lies.

    Raises:
        InputError: the study is not there, or anything in it is wrong.
    """
    file = _find(name_or_path)
    return read_study(read_text(file), source=file.name, folder=file.parent, limit=limit)


def _find(name_or_path: str) -> Path:
    if name_or_path in shipped_studies():
        return SHIPPED / f"{name_or_path}.yaml"
    file = Path(name_or_path)
    if file.exists():
        return file
    if file.as_posix() in {f"studies/{name}.yaml" for name in shipped_studies()}:
        return SHIPPED / file.name
    if file.suffix or file.parent != Path():
        raise InputError(f"study {name_or_path!r} does not exist")
    raise unknown("study", name_or_path, shipped_studies())


def read_study(text: str, *, source: str, folder: Path, limit: int | None = None) -> Study:
    """Return the study that a YAML text spells; paths in it start at `folder`.

    Raises:
        InputError: anything in it is wrong; the sentence begins with `source`.
    """
    part = parse_study(text, source)
    try:
        return _resolve(part, text, folder, limit)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _resolve(part: StudyPart, text: str, folder: Path, limit: int | None) -> Study:
    benchmark, prompts = _prompts(part, folder, limit)
    name = benchmark.name if benchmark else OWN_PROMPTS
    check_metrics(part.metrics, name, benchmark)
    entries = with_baseline(_entries(part, folder), part.baseline)
    if part.traces:
        _refuse_without_tokens(entries)
    return Study(
        part.name,
        text,
        name,
        prompts,
        entries,
        tuple(part.metrics),
        traces=part.traces,
        fail_on_error=part.fail_on_error,
    )


def _prompts(
    part: StudyPart, folder: Path, limit: int | None
) -> tuple[Benchmark | None, tuple[Prompt, ...]]:
    if (part.benchmark is None) == (part.prompts is None):
        raise InputError("give either benchmark or prompts, and not both")
    if part.benchmark is not None:
        if part.benchmark.name not in BENCHMARKS:
            raise unknown("benchmark", cut(part.benchmark.name), BENCHMARKS)
        benchmark = BENCHMARKS[part.benchmark.name]
        every = benchmark.prompts(part.benchmark.split)
        return benchmark, first_of_each_task(every, limit or part.benchmark.limit)
    if isinstance(part.prompts, str):
        return None, first_of_each_task(read_prompts(_path(folder, part.prompts, "prompts")), limit)
    if not isinstance(part.prompts, list) or not all(isinstance(p, str) for p in part.prompts):
        raise InputError(
            f"prompts must be a list of texts or a file's path, got {shown(part.prompts)}"
        )
    return None, first_of_each_task(own_prompts(part.prompts, "prompts"), limit)


def _entries(part: StudyPart, folder: Path) -> Iterator[Entry]:
    names: list[str] = []
    for place, model_part in enumerate(part.models):
        where = f"models[{place}]"
        model, default = _model(model_part, folder, where)
        if model.name in names:
            raise InputError(f"{where} {model.name!r} is named twice: join the recipes or set name")
        names.append(model.name)
        for name, recipe, offset in _recipes(model_part, default, model.family, where):
            seeds = tuple(seed + offset for seed in part.seeds)
            if len(set(seeds)) < len(seeds):
                raise InputError(
                    f"seeds {shown(part.seeds)} name a seed twice: name each seed once"
                )
            yield Entry(f"{model.name}/{name}", model, recipe, seeds)


def _recipes(
    part: ModelPart, default: Recipe | None, family: str, where: str
) -> Iterator[tuple[str, Recipe, int]]:
    """Give the name, the recipe and the seeds' offset of each entry of a model."""
    if not part.recipes and not part.grid:
        raise InputError(f"{where} has no recipes: give recipes or a grid")
    above = {DEFAULT_RECIPE: default} if default else {}
    made: set[tuple[str, int]] = set()
    for name, given in part.recipes.items():
        try:
            recipe, offset = _recipe(given, above)
            recipe.check_family(family)
        except InputError as error:
            raise InputError(f"{where}.recipes.{name}: {error}") from None
        above[name] = recipe
        made.add((recipe.recipe_id, offset))
        yield name, recipe, offset
    try:
        offset, grid = _grid(part.grid, above) if part.grid else (0, {})
        for name, recipe in grid.items():
            recipe.check_family(family)
            if name in part.recipes:
                raise InputError(f"its recipe {name!r} is named like one of recipes: rename that")
            if (recipe.recipe_id, offset) not in made:  # a grid around a recipe holds it, too
                yield name, recipe, offset
    except InputError as error:
        raise InputError(f"{where}.grid: {error}") from None


def _model(part: ModelPart, folder: Path, where: str) -> tuple[Model, Recipe | None]:
    """Return a model and the recipe that it comes with."""
    if (part.model is None) == (part.path is None):
        raise InputError(f"{where} needs either model or path, and not both")
    check_dtype(part.dtype, f"{where}.dtype")
    if part.model is not None:
        if part.model not in MODELS:
            raise unknown(f"{where}.model", cut(part.model), MODELS)
        entry = MODELS[part.model]
        name = part.name or part.model
        model = Model(name, part.model, entry.family, part.dtype, part.compiled)
        return model, entry.recipe
    path = _path(folder, str(part.path), f"{where}.path").resolve()
    try:
        found = find_model(path)
    except OSError as error:
        sentence = f"{where}.path {shown(part.path)} cannot be read: {error.strerror}"
        raise InputError(sentence) from None
    except InputError as error:
        raise InputError(f"{where}.path: {error}") from None
    name = part.name or path.name
    return Model(name, str(path), found.family, part.dtype, part.compiled), found.recipe


def _path(folder: Path, text: str, where: str) -> Path:
    if "\0" in text:
        raise InputError(f"{where} {shown(text)} holds a null character, which no path may")
    return folder / text


def _recipe(given: object, above: Mapping[str, Recipe]) -> tuple[Recipe, int]:
    """Return a recipe and the offset of its seeds."""
    if given is None:
        given = {"like": DEFAULT_RECIPE}
    if isinstance(given, str):
        return Recipe.from_text(given), 0
    if not isinstance(given, dict):
        raise InputError(f"recipe must be a text or a mapping of choices, got {shown(given)}")
    base, choices, offset = _inherit(given, above)
    return Recipe.from_dict(base | choices), offset


def _grid(given: dict[str, Any], above: Mapping[str, Recipe]) -> tuple[int, dict[str, Recipe]]:
    """Return the offset of the seeds and the recipes of a grid by their names."""
    base, choices, offset = _inherit(given, above)
    return offset, Recipe.grid(**{key: [value] for key, value in base.items()} | choices)


def _inherit(
    given: dict[str, Any], above: Mapping[str, Recipe]
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Split a mapping into what it takes from the recipe it is like, its own, and its offset."""
    choices = dict(given)
    like, offset = choices.pop("like", None), choices.pop("seed_offset", 0)
    if type(offset) is not int or not 0 <= offset < 2**62:
        raise InputError(f"seed_offset must be a whole number from 0, got {shown(offset)}")
    if like is None:
        return {}, choices, offset
    if not isinstance(like, str) or like not in above:
        raise unknown("like", cut(like), above)
    base = above[like].to_dict()
    if BUDGET in choices:  # which says how many steps there are
        base.pop("steps", None)
    return base, choices, offset


def with_baseline(entries: Iterable[Entry], baseline: str | None) -> tuple[Entry, ...]:
    """Mark the entry that the others are compared with: the one named, or the first.

    Raises:
        InputError: there is no such entry, or two would hold the same images.
    """
    found = list(entries)
    names = [entry.name for entry in found]
    if baseline is not None and baseline not in names:
        raise unknown("baseline", cut(baseline), names)
    place = 0 if baseline is None else names.index(baseline)
    found[place] = replace(found[place], baseline=True)
    _refuse_shared_samples(found)
    return tuple(found)


def _refuse_without_tokens(entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        if entry.model.family == "diffusion":
            raise InputError(
                f"traces cannot be stored of {entry.model.name}, a diffusion model, which draws no "
                "tokens step by step: trace the others in a study of their own, in the same store"
            )


def _refuse_shared_samples(entries: Sequence[Entry]) -> None:
    """Refuse entries that would hold the same images, and so could only tie."""
    made: dict[tuple[Model, str], list[Entry]] = {}
    for entry in entries:
        alike = made.setdefault((entry.model, entry.recipe.recipe_id), [])
        for other in alike:
            if set(entry.seeds) & set(other.seeds):
                raise InputError(
                    f"{entry.name} has the recipe and seeds of {other.name}: change its recipe, or "
                    "give it a seed_offset as a control"
                )
        alike.append(entry)
