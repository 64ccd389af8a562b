"""Official weights to safetensors, which hold tensors only and are read as they are used."""

import shutil
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.known_files import hash_file
from bakeoff.samplers.networks.tensor_file import is_convertible, read_tensors

SUFFIX = ".safetensors"
Converted = list[tuple[Path, Path]]  # old and new file


def convert(source: Path, output: Path | None = None) -> Converted:
    """Convert a file of weights, or a folder: a copy of it with all such files converted.

    Without `output` the result lies beside the source. It is there whole or not at all.

    Raises:
        InputError: there is nothing to convert, a file is damaged or needs code to run, or the
            output is there already or cannot be written.
    """
    target = output or source.with_name(_name_beside(source))
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    if not any(file.is_file() and is_convertible(file) for file in files):
        raise InputError(f"{source}: there are no weights to convert here")
    if target.exists():
        raise InputError(f"output {str(target)!r} is there already: name another by --output")
    passing = target.with_name(f"{target.name}.unfinished-{uuid4().hex[:8]}")
    try:
        passing.parent.mkdir(parents=True, exist_ok=True)
        converted = _convert_folder(source, passing) if source.is_dir() else _write(source, passing)
        passing.rename(target)
    except (OSError, SafetensorError) as error:
        raise InputError(f"output {str(target)!r} cannot be written: {error}") from error
    finally:
        shutil.rmtree(passing, ignore_errors=True)  # leaves a file alone
        if passing.is_file():
            passing.unlink()
    return [(old, target / new.relative_to(passing)) for old, new in converted]


def _name_beside(source: Path) -> str:
    return f"{source.resolve().name}-safetensors" if source.is_dir() else _new_name(source)


def _new_name(file: Path) -> str:
    """Return the name of a converted file; PyTorch's suffix goes, flax's files have none."""
    return (file.stem if file.suffix else file.name) + SUFFIX


def _convert_folder(source: Path, target: Path) -> Converted:
    converted = []
    for file in sorted(file for file in source.rglob("*") if file.is_file()):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if is_convertible(file):
            converted += _write(file, copy.with_name(_new_name(file)))
        else:
            shutil.copyfile(file, copy)
    return converted


def _write(file: Path, target: Path) -> Converted:
    """Write the tensors of a file; the header says what they were converted from."""
    origin = {"format": "pt", "converted_from": file.name, "sha256": hash_file(file)}
    save_file(_apart(read_tensors(file)), target, metadata=origin)
    return [(file, target)]


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors each whole and with memory of its own, as the format asks for."""
    seen: set[int] = set()
    apart = {}
    for key, tensor in tensors.items():
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.nbytes and tensor.is_contiguous()
        apart[key] = tensor if whole and storage.data_ptr() not in seen else tensor.clone()
        apart[key] = apart[key].contiguous()
        seen.add(storage.data_ptr())
    return apart
