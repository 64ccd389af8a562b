"""The architectures that Bakeoff loads: how a checkpoint folder of each is told, read and checked.

One entry an architecture. What is heavy is named here and imported when it is needed, so that
listing models waits for neither torch nor transformers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.pipelines import (
    ADAPTERS,
    check_pipeline_recipe,
    is_pipeline,
    networks,
)
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Sampler


class SamplerClass(Protocol):
    """What `Architecture.sampler` names: a class that reads a folder."""

    def from_folder(self, folder: Path, **options: Any) -> Sampler:
        """Return the sampler of a folder.

        Raises:
            InputError: a file is missing or does not fit.
        """
        ...


def _any_recipe(folder: Path, recipe: Recipe) -> None:
    """Check nothing: no recipe of the family asks more than the configuration has."""


@dataclass(frozen=True)
class Architecture:
    """One architecture.

    `family` is that of its loop (masked, autoregressive, diffusion); `parts` are the folders that a
    checkpoint has; `sampler` is the class that reads them, as module:class; `has_resolution` says
    whether that class is told how large pictures are, which otherwise follows from the files;
    `check` holds a recipe against the configuration in a folder.
    """

    name: str
    family: str
    parts: tuple[str, ...]
    sampler: str
    has_resolution: bool = False
    check: Callable[[Path, Recipe], None] = _any_recipe

    def is_in(self, folder: Path) -> bool:
        """Whether a folder holds a checkpoint of the architecture, by its sub-folders."""
        return all((folder / part).is_dir() for part in self.parts)

    @property
    def layout(self) -> str:
        """What a folder must hold, for people."""
        return " and ".join(f"{part}/" for part in self.parts)

    def check_files(self, folder: Path) -> None:
        """Check the files in a folder without loading them: networks are built with no memory.

        Every key and shape is compared, and once for a large file every number.

        Raises:
            InputError: one is missing, damaged or does not fit.
        """
        import torch

        with torch.device("meta"):
            self.sampler_class().from_folder(folder, device="meta")

    def sampler_class(self) -> SamplerClass:
        """Import and return the class that reads a folder."""
        module, _, name = self.sampler.partition(":")
        found: SamplerClass = getattr(import_module(module), name)
        return found


class Pipelines(Architecture):
    """The pipelines of diffusers, told by an index: aMUSEd's has the folders of Meissonic, too."""

    def is_in(self, folder: Path) -> bool:
        """Whether a folder holds a pipeline that is known, by its index."""
        return is_pipeline(folder)

    def check_files(self, folder: Path) -> None:
        """Check that the files of networks are whole; their keys only diffusers knows to map.

        Raises:
            InputError: one is missing or damaged, or holds infinities.
        """
        from bakeoff.samplers.networks.checkpoint import check_weights

        for part in networks(folder):
            check_weights(folder / part)

    @property
    def layout(self) -> str:
        """What a folder must hold, for people."""
        return f"a model_index.json of {', '.join(ADAPTERS)}"


def _check_length(folder: Path, recipe: Recipe) -> None:
    from bakeoff.samplers.networks.llamagen_sizes import image_tokens

    recipe.check_length(image_tokens(folder / "gpt"))


def _check_meissonic(folder: Path, recipe: Recipe) -> None:
    from bakeoff.samplers.meissonic import check_recipe

    check_recipe(folder, recipe)


def _check_maskgit(folder: Path, recipe: Recipe) -> None:
    from bakeoff.samplers.maskgit import check_recipe

    check_recipe(folder, recipe)


MEISSONIC = Architecture(
    name="Meissonic",
    family="masked",
    parts=("transformer", "vqvae"),
    sampler="bakeoff.samplers.meissonic:MeissonicSampler",
    has_resolution=True,
    check=_check_meissonic,
)
LLAMAGEN = Architecture(
    name="LlamaGen",
    family="autoregressive",
    parts=("gpt", "vq"),
    sampler="bakeoff.samplers.llamagen:LlamaGenSampler",
    has_resolution=True,
    check=_check_length,
)
MASKGIT = Architecture(
    name="MaskGIT",
    family="masked",
    parts=("MaskGIT", "VQGAN"),
    sampler="bakeoff.samplers.maskgit:MaskGITSampler",
    has_resolution=True,
    check=_check_maskgit,
)
DIFFUSERS = Pipelines(
    name="diffusers",
    family="diffusion",
    parts=(),
    sampler="bakeoff.samplers.diffusion:DiffusionSampler",
    has_resolution=True,
    check=check_pipeline_recipe,
)
ARCHITECTURES = (DIFFUSERS, MEISSONIC, LLAMAGEN, MASKGIT)


def find_architecture(folder: Path) -> Architecture:
    """Return the architecture of a checkpoint folder.

    Raises:
        InputError: it holds none that is known.
    """
    for architecture in ARCHITECTURES:
        if architecture.is_in(folder):
            return architecture
    expected = " or ".join(architecture.layout for architecture in ARCHITECTURES)
    raise InputError(f"model folder {str(folder)!r} has no known layout: it must hold {expected}")
