"""Benchmarks: named prompt sets with what each prompt expects to be seen."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.samplers.classes import Classes, imagenet_names
from bakeoff.samplers.errors import InputError, shown, unknown
from bakeoff.samplers.plugins import Registry, spelled
from bakeoff.samplers.tiny.grammar import (
    ShapesPrompt,
    class_prompts,
    class_scenes,
    sample,
    shapes_prompts,
)
from bakeoff.samplers.tiny.world import render

OWN_PROMPTS = "prompts"  # the benchmark name of prompts that a study brings along
REFERENCE_PICTURES = 512


@dataclass(frozen=True)
class Prompt:
    """One prompt of a benchmark; the expectation has the form of GenEval's metadata."""

    prompt_id: str
    prompt: str
    task: str
    expectation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Benchmark:
    """A prompt set by its splits, the first being the default, and real pictures to compare with.

    `pictures` gives uint8 [N, H, W, 3], the same at every call.
    """

    name: str
    sentence: str
    splits: Mapping[str, Callable[[], Sequence[Prompt]]]
    has_expectations: bool
    pictures: Callable[[], NDArray[np.uint8]] | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of all splits, in the order in which prompts first name them."""
        prompts = (prompt for split in self.splits for prompt in self.prompts(split))
        return tuple(dict.fromkeys(prompt.task for prompt in prompts))

    def prompts(self, split: str | None = None) -> tuple[Prompt, ...]:
        """Return the prompts of a split, in their fixed order.

        Raises:
            InputError: there is no such split, or what makes its prompts fails.
        """
        chosen = next(iter(self.splits)) if split is None else split
        if chosen not in self.splits:
            raise unknown(f"split of benchmark {self.name!r}", chosen, self.splits)
        try:
            prompts = tuple(self.splits[chosen]())
        except InputError:
            raise
        except Exception as error:  # another package's
            told = f"split {chosen!r} of benchmark {self.name!r} has no prompts"
            raise InputError(f"{told} ({spelled(error)})") from error
        _check_prompts(prompts, f"split {chosen!r} of benchmark {self.name!r}")
        return prompts


def _check_prompts(prompts: Sequence[Prompt], source: str) -> None:
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            raise InputError(f"{source} must hold Prompts, got {shown(prompt)}")
    counted = Counter(prompt.prompt_id for prompt in prompts)
    if repeated := [name for name, count in counted.items() if count > 1]:
        raise InputError(f"{source} holds prompt_id {shown(repeated[0])} twice")


def own_prompts(texts: Iterable[str], source: str) -> tuple[Prompt, ...]:
    """Return prompts of a study's own, each known by a hash of its text.

    Raises:
        InputError: there is none, one is blank, or one comes twice.
    """
    prompts = [text.strip() for text in texts]
    if not prompts:
        raise InputError(f"{source} is empty: give at least one prompt")
    if "" in prompts:
        raise InputError(f"{source}[{prompts.index('')}] is blank: give a prompt")
    for place, text in enumerate(prompts):
        if not text.isprintable():
            raise InputError(f"{source}[{place}] {text!r} holds a line break or control character")
    repeated = [text for text, count in Counter(prompts).items() if count > 1]
    if repeated:
        raise InputError(f"{source} holds {repeated[0]!r} twice: name each prompt once")
    return tuple(
        Prompt(sha256(text.encode()).hexdigest()[:16], text, OWN_PROMPTS) for text in prompts
    )


def read_prompts(file: Path) -> tuple[Prompt, ...]:
    """Return the prompts of a text file, one a line; blank lines are skipped.

    Raises:
        InputError: the file cannot be read, or as `own_prompts`.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"prompts file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"prompts file {file} is not UTF-8 text") from error
    return own_prompts([line for line in lines if line.strip()], f"prompts file {file}")


def first_of_each_task(prompts: Sequence[Prompt], limit: int | None) -> tuple[Prompt, ...]:
    """Return the first `limit` prompts of every task, in the given order; None keeps all."""
    if limit is None:
        return tuple(prompts)
    seen: Counter[str] = Counter()
    kept = []
    for prompt in prompts:
        seen[prompt.task] += 1
        if seen[prompt.task] <= limit:
            kept.append(prompt)
    return tuple(kept)


def _of_world(prompts: Iterable[ShapesPrompt]) -> list[Prompt]:
    return [Prompt(p.prompt_id, p.prompt, p.task, p.expectation) for p in prompts]


def _shapes(split: Any) -> Callable[[], Sequence[Prompt]]:
    return lambda: _of_world(shapes_prompts(split))


def _shapes_pictures() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return np.stack([render(sample(rng)[1]) for _ in range(REFERENCE_PICTURES)])


def _imagenet_prompts() -> list[Prompt]:
    """Return a prompt for each class, in an order by a hash: the first N are any N of them.

    The sentence is CLIP's; names that classes share come with the class's number.
    """
    labels = enumerate(Classes(imagenet_names()).labels)
    prompts = [Prompt(f"{id:04d}", f"a photo of a {label}", "class") for id, label in labels]
    return sorted(prompts, key=lambda prompt: sha256(prompt.prompt_id.encode()).digest())


def _class_pictures() -> NDArray[np.uint8]:
    return np.stack([render(scene) for _, scene in class_scenes()])


_OWN = {
    "shapes": Benchmark(
        name="shapes",
        sentence="Shape scenes of the embedded world in GenEval's six tasks; the held-out split "
        "asks for combinations that no model was trained on, `all` joins it with the train split.",
        splits={
            "held_out": _shapes("held_out"),
            "train": _shapes("train"),
            "all": lambda: [*_shapes("held_out")(), *_shapes("train")()],
        },
        has_expectations=True,
        pictures=_shapes_pictures,
    ),
    "shapes-classes": Benchmark(
        name="shapes-classes",
        sentence="One lone object of each of the embedded world's 36 classes, such as a red "
        "circle, for class-conditional and text models. Images per class: as many as seeds.",
        splits={"all": lambda: _of_world(class_prompts())},
        has_expectations=True,
        pictures=_class_pictures,
    ),
    "imagenet": Benchmark(
        name="imagenet",
        sentence="The 1000 classes of ImageNet, such as a photo of a tench, as class-conditional "
        "models know them. Images per class: as many as seeds.",
        splits={"all": _imagenet_prompts},
        has_expectations=False,
    ),
}


def _check(name: str, benchmark: Benchmark) -> None:
    if benchmark.name != name:
        raise ValueError(f"it calls itself {shown(benchmark.name)}: both names must be the same")
    if not benchmark.splits:
        raise ValueError("it has no splits: give at least one")


BENCHMARKS = Registry("benchmark", Benchmark, _OWN, _check)


def known_tasks(name: str) -> tuple[str, ...]:
    """Return the tasks of a benchmark; none of one that is not known here or offered wrongly."""
    benchmark = BENCHMARKS.find(name)
    try:
        return benchmark.tasks if benchmark else ()
    except InputError:
        return ()
