"""The models that are known by name, and how a checkpoint folder becomes a sampler."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bakeoff.samplers.errors import InputError, shown, unknown
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Sampler

TINY_WEIGHTS = Path(str(files("bakeoff.samplers.tiny"))) / "weights"

# What a transformer may compute in; text encoders and image tokenizers stay in float32.
DTYPES = ("float32", "bfloat16")

# Folders that tell a checkpoint's layout, and the family of the models that have it.
LAYOUTS = {("transformer", "vqvae"): "masked", ("gpt", "vq"): "autoregressive"}


@dataclass(frozen=True)
class ModelEntry:
    """A checkpoint folder and what is known of it; resolution is the side in pixels.

    A folder that is not in the catalogue has no recipe of its own, and its configuration tells the
    resolution.
    """

    name: str
    family: str
    folder: Path
    recipe: Recipe | None = None
    resolution: int | None = None
    licence: str = "unknown"
    description: str = ""


_ENTRIES = (
    ModelEntry(
        name="tiny-meissonic",
        family="masked",
        folder=TINY_WEIGHTS / "tiny-meissonic",
        recipe=Recipe.from_text("steps=16 guidance_scale=2"),
        resolution=64,
        licence="Apache-2.0",
        description="Masked transformer of the Meissonic architecture for scenes of shapes",
    ),
    ModelEntry(
        name="tiny-llamagen",
        family="autoregressive",
        folder=TINY_WEIGHTS / "tiny-llamagen",
        recipe=Recipe.from_text("guidance_scale=1.5"),
        resolution=64,
        licence="Apache-2.0",
        description="Autoregressive transformer of the LlamaGen architecture for the same scenes",
    ),
)
MODELS = {entry.name: entry for entry in _ENTRIES}


def find_model(name_or_path: str | Path) -> ModelEntry:
    """Return the entry of a known name, or one for a checkpoint folder in an official layout.

    Raises:
        InputError: the name is unknown, or the folder has no known layout.
    """
    if name_or_path in MODELS:
        return MODELS[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if not path.is_dir():
        if isinstance(name_or_path, str) and len(path.parts) <= 1:
            raise unknown("model", name_or_path, MODELS)
        raise InputError(f"model folder {str(path)!r} does not exist")
    for parts, family in LAYOUTS.items():
        if all((path / part).is_dir() for part in parts):
            return ModelEntry(path.resolve().name, family, path)
    expected = " or ".join(" and ".join(f"{part}/" for part in parts) for parts in LAYOUTS)
    raise InputError(f"model folder {str(path)!r} has no known layout: it must hold {expected}")


def check_dtype(dtype: str, where: str = "dtype") -> None:
    """Check that samplers can be loaded in a dtype; `where` names it in errors.

    Raises:
        InputError: they cannot.
    """
    if dtype not in DTYPES:
        raise InputError(f"{where} must be {' or '.join(DTYPES)}, got {shown(dtype)}")


def weights_hash(
    name_or_path: str | Path, dtype: str = "float32", *, compiled: bool = False
) -> str:
    """Return the hash of a model's files, without loading them, and of how it runs.

    In another dtype than float32, or compiled, the same files make other pixels and have another
    hash; see `hash_model`.

    Raises:
        InputError: the model or dtype is unknown, or there are no files.
    """
    import torch

    from bakeoff.samplers.networks.checkpoint import hash_model

    check_dtype(dtype)
    return hash_model(find_model(name_or_path).folder, getattr(torch, dtype), compiled)


def check_recipe(name_or_path: str | Path, recipe: Recipe) -> None:
    """Check that a recipe suits a model, by its family and configuration; loads no weights.

    Raises:
        InputError: it does not, or the model is unknown or its configuration wrong.
    """
    entry = find_model(name_or_path)
    recipe.check_family(entry.family)
    if entry.family == "autoregressive":
        from bakeoff.samplers.networks.checkpoint import load_config
        from bakeoff.samplers.networks.llamagen import LlamaGenConfig

        config = LlamaGenConfig.from_dict(load_config(entry.folder / "gpt"))
        recipe.check_length(config.block_size)


def weight_files(name_or_path: str | Path) -> dict[str, str]:
    """Return the hash of each of a model's files: networks, text encoders, tokenizers.

    Raises:
        InputError: the model is unknown, or has no files.
    """
    from bakeoff.samplers.networks.checkpoint import file_hashes

    return file_hashes(find_model(name_or_path).folder)


def import_samplers() -> None:
    """Import the code of every family, which `load_sampler` otherwise does when it needs it."""
    import bakeoff.samplers.llamagen
    import bakeoff.samplers.meissonic  # noqa: F401


def load_sampler(
    name_or_path: str | Path,
    device: str = "cpu",
    *,
    dtype: str = "float32",
    compiled: bool = False,
) -> Sampler:
    """Load a model by its name or its folder.

    `dtype` is that of the transformer; `compiled` has it compiled when it first runs. Both change
    pixels, and therefore `weights_hash`.

    Raises:
        InputError: the model or dtype is unknown, or the files are missing or do not fit.
    """
    # Here, because listing models should not wait for torch and transformers.
    import torch

    from bakeoff.samplers.llamagen import LlamaGenSampler
    from bakeoff.samplers.meissonic import MeissonicSampler

    check_dtype(dtype)
    kind: torch.dtype = getattr(torch, dtype)
    entry = find_model(name_or_path)
    if entry.family == "autoregressive":
        return LlamaGenSampler.from_folder(
            entry.folder, name=entry.name, device=device, dtype=kind, compiled=compiled
        )
    side = entry.resolution
    return MeissonicSampler.from_folder(
        entry.folder,
        name=entry.name,
        resolution=(side, side) if side else None,
        device=device,
        dtype=kind,
        compiled=compiled,
    )
