"""Models by name or folder: found, checked, identified and loaded."""

from pathlib import Path

from bakeoff.samplers.architectures import ARCHITECTURES, find_architecture
from bakeoff.samplers.errors import InputError, shown, unknown
from bakeoff.samplers.fetching import check_here
from bakeoff.samplers.model_entry import TINY_WEIGHTS, ModelEntry
from bakeoff.samplers.models import MODELS
from bakeoff.samplers.plugins import spelled
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Sampler

__all__ = ["MODELS", "TINY_WEIGHTS", "ModelEntry"]

# What a transformer may compute in; text encoders and image tokenizers stay in float32.
DTYPES = ("float32", "bfloat16")


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
    return ModelEntry(path.resolve().name, find_architecture(path), location=path)


def check_downloaded(name_or_path: str | Path) -> ModelEntry:
    """Return the entry of a model whose files are on this machine.

    Raises:
        InputError: it is unknown, or they are not.
    """
    entry = find_model(name_or_path)
    check_here(entry)
    return entry


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
        InputError: the model or dtype is unknown, the dtype is not that of its quantized weights,
            or there are no files.
    """
    import torch

    from bakeoff.samplers.networks.checkpoint import hash_model

    check_dtype(dtype)
    entry = check_downloaded(name_or_path)
    if entry.bits and dtype != "bfloat16":
        raise InputError(
            f"{entry.name} has weights of {entry.bits} bits, which compute in bfloat16: give it "
            "dtype: bfloat16"
        )
    return hash_model(entry.folder, getattr(torch, dtype), compiled, entry.bits)


def check_recipe(name_or_path: str | Path, recipe: Recipe) -> None:
    """Check that a recipe suits a model, by its family and configuration; loads no weights.

    Raises:
        InputError: it does not, or the model is unknown or its configuration wrong.
    """
    entry = check_downloaded(name_or_path)
    recipe.check_family(entry.family)
    entry.architecture.check(entry.folder, recipe)


def check_files(name_or_path: str | Path) -> None:
    """Check that a model's files fit together, before anything loads them.

    What ships with Bakeoff is not looked at, nor what only another package can read.

    Raises:
        InputError: a file is missing, damaged or does not fit.
    """
    entry = check_downloaded(name_or_path)
    if entry.folder.is_relative_to(TINY_WEIGHTS) or entry.architecture not in ARCHITECTURES:
        return
    try:
        entry.architecture.check_files(entry.folder)
    except InputError as error:
        told = str(error)
        place = "" if str(entry.folder) in told else f"{entry.folder}: "
        raise InputError(f"{place}{told}") from None
    except Exception as error:  # of libraries that are given what no release of them wrote
        raise InputError(f"{entry.folder}: cannot be loaded ({spelled(error)})") from error


def weight_files(name_or_path: str | Path) -> dict[str, str]:
    """Return the hash of each of a model's files: networks, text encoders, tokenizers.

    Raises:
        InputError: the model is unknown, or has no files.
    """
    from bakeoff.samplers.networks.checkpoint import file_hashes

    return file_hashes(check_downloaded(name_or_path).folder)


def import_samplers() -> None:
    """Import the code of every architecture, which `load_sampler` otherwise does when needed."""
    for architecture in ARCHITECTURES:
        architecture.sampler_class()


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
    import torch  # here, because listing models should not wait for it

    check_dtype(dtype)
    entry = check_downloaded(name_or_path)
    options = {"name": entry.name, "device": device, "dtype": getattr(torch, dtype)}
    side = entry.resolution
    if entry.architecture.has_resolution and side:
        options["resolution"] = (side, side)
    if entry.bits:
        options["bits"] = entry.bits
    return entry.architecture.sampler_class().from_folder(
        entry.folder, compiled=compiled, **options
    )
