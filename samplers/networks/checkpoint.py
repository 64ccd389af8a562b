"""Checkpoint files on disk: configuration, weights and the hash that identifies them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.known_files import (
    SMALL_BYTES,
    hash_file,
    is_proven,
    note_proven,
)
from bakeoff.samplers.networks.tensor_file import is_tensor_file, read_tensors

STANDARD_NAMES = ("diffusion_pytorch_model.safetensors", "model.safetensors")
# what changes a model's pictures besides its weights: configurations, tokenizer files
HASHED_SUFFIXES = (".json", ".txt", ".model")


def load_config(folder: str | Path) -> dict[str, Any]:
    """Return `config.json` of a checkpoint folder without its private (`_…`) keys.

    Raises: InputError if the file is missing or is no JSON object.
    """
    config = _read_json(Path(folder) / "config.json")
    return {key: value for key, value in config.items() if not key.startswith("_")}


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint folder or file by key, on the CPU.

    A folder has one file of them, or shards that an index lists; see `tensor_file.py` for formats.
    Raises: InputError if there are no weights, or they are damaged or hold anything but tensors.
    """
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(Path(path)):
        tensors.update(read_tensors(file))
    return tensors


def check_weights(folder: str | Path) -> None:
    """Check that a folder's weights can be read and are finite, without a network to compare.

    Raises: InputError if they are not.
    """
    _check_finite(load_weights(folder), folder, ())


def load_state(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str | Path,
    ignore: Iterable[str] = (),
) -> None:
    """Copy `tensors` into `module`, every key and shape agreeing; dtypes become the module's.

    `ignore` holds name patterns (`*` allowed) of keys in the file that the module does without. A
    module on the meta device takes nothing: it is how files are checked before a model loads.
    Raises: InputError that names `source` and the first key that is missing, unexpected, shaped
    wrongly or not finite.
    """
    patterns = tuple(ignore)
    wanted = module.state_dict()
    given = {k: v for k, v in tensors.items() if not any(fnmatch(k, p) for p in patterns)}
    missing, unexpected = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing:
        raise InputError(f"{source}: the weight {missing[0]!r} is missing{_and_more(missing)}")
    if unexpected:
        raise InputError(
            f"{source}: the weight {unexpected[0]!r} is unexpected{_and_more(unexpected)}"
        )
    for key, tensor in given.items():
        if tensor.shape != wanted[key].shape:
            raise InputError(
                f"{source}: the weight {key!r} has shape {list(tensor.shape)}, but its "
                f"configuration asks for {list(wanted[key].shape)}"
            )
    _check_finite(given, source, patterns)
    if not any(tensor.is_meta for tensor in wanted.values()):
        module.load_state_dict(given)


def _check_finite(
    tensors: Mapping[str, Tensor], source: str | Path, ignored: tuple[str, ...]
) -> None:
    """Check numbers, the one thing that asks for all of a file: a large one is looked at once."""
    claim = None
    if sum(tensor.nbytes for tensor in tensors.values()) >= SMALL_BYTES and Path(source).exists():
        claim = f"finite: {hash_files(source)} without {sorted(ignored)}"
        if is_proven(claim):
            return
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"{source}: the weight {key!r} holds infinities or no numbers")
    if claim:
        note_proven(claim)


def hash_files(path: str | Path) -> str:
    """Return the sha256 (hex) over a checkpoint's weights, configurations and tokenizer files.

    `path` is a file or a folder, taken with its sub-folders; file names count, times do not.
    Raises: InputError if there is nothing to hash.
    """
    digest = hashlib.sha256()
    for name, content in file_hashes(path).items():
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def hash_model(
    path: str | Path,
    dtype: torch.dtype = torch.float32,
    compiled: bool = False,
    bits: int | None = None,
) -> str:
    """Return the hash that a model's samples are known by: `hash_files` in plain float32.

    Rounded, quantized or compiled otherwise, the same files make other pixels, so that way of
    running is hashed with them.
    Raises: InputError if there is nothing to hash.
    """
    files = hash_files(path)
    if dtype == torch.float32 and not compiled and bits is None:
        return files
    way = f"{files}\0{str(dtype).removeprefix('torch.')}\0{'compiled' if compiled else ''}"
    if bits is not None:
        way += f"\0{bits} bits"
    return hashlib.sha256(way.encode()).hexdigest()


def file_hashes(path: str | Path) -> dict[str, str]:
    """Return the sha256 (hex) of each file that `hash_files` takes, by its name in the folder.

    Raises: InputError if there is nothing to hash.
    """
    root = Path(path)
    files = [root] if root.is_file() else sorted(root.rglob("*"))
    hashes = {}
    for file in files:
        if file.is_file() and (file.suffix in HASHED_SUFFIXES or is_tensor_file(file)):
            name = file.name if file == root else file.relative_to(root).as_posix()
            hashes[name] = hash_file(file)
    if not hashes:
        raise InputError(f"{root}: there are no checkpoint files here")
    return hashes


def _weight_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    indices = sorted(path.glob("*.safetensors.index.json"))
    if indices:
        return _shards(indices[0])
    for name in STANDARD_NAMES:
        if (path / name).is_file():
            return [path / name]
    files = [file for file in sorted(path.glob("*")) if is_tensor_file(file)]
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise InputError(f"{path}: expected one file of weights, found {found}")
    return files


def _shards(index: Path) -> list[Path]:
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{index}: has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        # an index is untrusted: its shards must lie beside it
        if Path(name).name != name or not (index.parent / name).is_file():
            raise InputError(f"{index}: the shard {name!r} is not in its folder")
    return [index.parent / name for name in names]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{file}: is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: must hold a JSON object")
    return content


def _and_more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
