"""The models that are known by name: one declarative entry each, and nothing that runs.

Recipes are the defaults of the papers and official scripts. A revision is a commit that many
independent projects pin; None is the newest, whose commit `bakeoff fetch` notes. Sizes are about.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from bakeoff.samplers.architectures import LLAMAGEN, MEISSONIC, Architecture
from bakeoff.samplers.recipe import Recipe

TINY_WEIGHTS = Path(str(files("bakeoff.samplers.tiny"))) / "weights"


def models_folder() -> Path:
    """Return where `bakeoff fetch` puts the folder of each model."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "bakeoff" / "models"


@dataclass(frozen=True)
class Source:
    """Files of a model, and where they come from.

    `place` is a repository of the Hugging Face hub, or the URL of what only people can get;
    `names` are paths there, `*` allowed, which lie below `into` in the model's folder, without
    `within`. `config` becomes a `config.json` beside files that come without.
    """

    place: str
    names: tuple[str, ...]
    into: str = ""
    within: str = ""
    revision: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_on_hub(self) -> bool:
        """Whether `bakeoff fetch` can get the files by itself."""
        return "://" not in self.place


@dataclass(frozen=True)
class ModelEntry:
    """What is known of a model; resolution is the side in pixels.

    `location` is its folder where it is not one that `bakeoff fetch` makes out of `sources`.
    `memory_gb` is that of a GPU in the default dtype, `download_gb` the size of all files. A folder
    that is not in the catalogue has no recipe, and its configuration tells the resolution. `bits`
    are those that the weights of a pipeline's network are quantized to when it is loaded.
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
        """The family of its loop: masked or autoregressive."""
        return self.architecture.family

    @property
    def folder(self) -> Path:
        """Where its files are, or will be."""
        return self.location or models_folder() / self.name


TINY = (
    ModelEntry(
        name="tiny-meissonic",
        architecture=MEISSONIC,
        location=TINY_WEIGHTS / "tiny-meissonic",
        recipe=Recipe.from_text("steps=16 guidance_scale=2"),
        resolution=64,
        licence="Apache-2.0",
        description="Masked transformer of the Meissonic architecture for scenes of shapes",
    ),
    ModelEntry(
        name="tiny-llamagen",
        architecture=LLAMAGEN,
        location=TINY_WEIGHTS / "tiny-llamagen",
        recipe=Recipe.from_text("guidance_scale=1.5"),
        resolution=64,
        licence="Apache-2.0",
        description="Autoregressive transformer of the LlamaGen architecture for the same scenes",
    ),
    ModelEntry(
        name="tiny-llamagen-c2i",
        architecture=LLAMAGEN,
        location=TINY_WEIGHTS / "tiny-llamagen-c2i",
        recipe=Recipe.from_text("guidance_scale=1.5"),
        resolution=64,
        licence="Apache-2.0",
        description="The same for 36 classes, such as a red circle, in place of captions",
    ),
)

MODELS = {entry.name: entry for entry in TINY}
