"""What the catalogue says of a model: its files, where they come from, and how it is run."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bakeoff.samplers.architectures import Architecture
from bakeoff.samplers.cache import cache_folder
from bakeoff.samplers.recipe import Recipe

TINY_WEIGHTS = Path(str(files("bakeoff.samplers.tiny"))) / "weights"


def models_folder() -> Path:
    """Return where `bakeoff fetch` puts the folder of each model."""
    return cache_folder("models")


@dataclass(frozen=True)
class Source:
    """Files of a model, and where they come from.

    `place` is a repository of the Hugging Face hub, or the URL of what only people can get;
    `names` are paths there, `*` allowed in file names. In the model's folder they lie below `into`,
    without the folder `within`.
    """

    place: str
    names: tuple[str, ...]
    into: str = ""
    within: str = ""
    revision: str | None = None

    @property
    def is_on_hub(self) -> bool:
        """Whether `bakeoff fetch` can get the files by itself."""
        return "://" not in self.place


@dataclass(frozen=True)
class ModelEntry:
    """What is known of a model; resolution is the side in pixels.

    `location` is its folder where it is not one that `bakeoff fetch` makes out of `sources`.
    `download_gb` is about the size of all files; `memory_gb` about what a GPU needs, as the makers
    or the paper measured it, and else that of the weights as they are loaded. `bits` are those that
    the weights of a pipeline's network are quantized to when it is loaded. A folder that is not in
    the catalogue has no recipe, and its configuration tells the resolution.
    """

    name: str
    architecture: Architecture
    recipe: Recipe | None = None
    resolution: int | None = None
    licence: str = "unknown"
    description: str = ""
    location: Path | None = None
    sources: tuple[Source, ...] = ()
    memory_gb: float | None = None
    download_gb: float | None = None
    bits: int | None = None

    @property
    def family(self) -> str:
        """The family of its loop: masked, autoregressive or diffusion."""
        return self.architecture.family

    @property
    def folder(self) -> Path:
        """Where its files are, or will be."""
        return self.location or models_folder() / self.name
