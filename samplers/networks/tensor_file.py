"""Files of tensors, official ones among them: safetensors, PyTorch's pickles, flax's msgpack.

A pickle can name code to run when it is read. Here it may name tensors and containers; classes
that official files name beside their weights stand for nothing; any other name refuses the file.
"""

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from warnings import catch_warnings
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from bakeoff.samplers.errors import InputError, cut
from bakeoff.samplers.networks.flax_file import is_flax, read_flax

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
# LlamaGen's training scripts, Lightning's and MaskGIT's wrap the weights under one of these
WRAPPERS = ("model", "module", "state_dict", "model_state_dict")


class Inert:
    """Stands for a class that a pickled file names beside its weights: holds data, does nothing."""


# what official files name so: in Lightning's checkpoints it is the key of a callback's state
INERT_NAMES = ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",)


def is_tensor_file(file: Path) -> bool:
    """Whether a file holds tensors, by its name."""
    return file.suffix == ".safetensors" or is_convertible(file)


def is_convertible(file: Path) -> bool:
    """Whether a file holds tensors in another format than safetensors, by its name."""
    return file.suffix in TORCH_SUFFIXES or is_flax(file)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by key, on the CPU; where possible, read as they are used.

    The wrappers of official files are opened.
    Raises: InputError if the file is damaged, holds anything but tensors, or names code.
    """
    with torch.device("cpu"):  # whatever networks are built on
        try:
            if file.suffix == ".safetensors":
                return load_file(file)
            if is_flax(file):
                return read_flax(file)
        except (OSError, SafetensorError) as error:
            raise _unreadable(file, error) from error
        return _unwrapped(_read_pickle(file), file)


def _read_pickle(file: Path) -> Any:
    try:
        with safe_globals([(Inert, name) for name in INERT_NAMES]), catch_warnings(action="ignore"):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    except UnpicklingError as error:
        raise _refused(file, error) from error
    except Exception as error:  # a damaged pickle can raise any
        raise _unreadable(file, error) from error


def _refused(file: Path, error: UnpicklingError) -> InputError:
    named = re.search(r"GLOBAL (\S+)|Unsupported class (\S+)", str(error))
    if named is None:
        return InputError(f"{file}: is refused: {_reason(error)}; only a file of tensors is read")
    name = cut((named[1] or named[2]).rstrip(".,"))
    return InputError(
        f"{file}: is refused: it names {name!r}, which is no tensor and would have to run as code; "
        "only a file of tensors is read"
    )


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(f"{file}: cannot be read as weights ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Return what is wrong without PyTorch's advice, which is to read the file with less care."""
    if not str(error):
        return "it ends too early"
    lines = [line for line in str(error).splitlines() if line and "weights_only" not in line]
    return lines[0].strip() if lines else "nothing but code can read its format"


def _unwrapped(content: Any, file: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise InputError(f"{file}: must hold named tensors and nothing else")
    return content
