"""Files of flax: nested dictionaries of arrays in msgpack, which runs no code.

Source: flax `serialization.py` (`msgpack_serialize`): arrays are extensions of type 1, which hold
shape, dtype and bytes.
"""

from math import prod
from pathlib import Path
from typing import Any

import msgpack
import torch
from torch import Tensor

from bakeoff.samplers.errors import InputError, cut

ARRAY = 1  # the extension's type
ENDINGS = (".msgpack", "_checkpoint")  # MaskGIT's files have no suffix
DTYPES = {
    name: getattr(torch, name)
    for name in ("float32", "float16", "bfloat16", "float64", "int32", "int64", "uint8", "bool")
}
TOP = "params"  # below which the parameters stand, where other things stand beside them


def is_flax(file: Path) -> bool:
    """Whether a file is one of flax, by its name."""
    return file.name.endswith(ENDINGS)


def read_flax(file: Path) -> dict[str, Tensor]:
    """Return the parameters of a file by their paths, joined with `/`.

    Raises: InputError if the file is damaged or holds anything else.
    """
    try:
        content = msgpack.unpackb(file.read_bytes(), ext_hook=_array, strict_map_key=False)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        reason = (str(error) or "it ends too early").splitlines()[0]
        raise InputError(f"{file}: cannot be read as weights ({reason})") from error
    if isinstance(content, dict) and isinstance(content.get(TOP), dict):
        content = content[TOP]
    tensors: dict[str, Tensor] = {}
    if not isinstance(content, dict) or not _gather(content, "", tensors):
        raise InputError(f"{file}: must hold named tensors and nothing else")
    return tensors


def _gather(content: dict[Any, Any], path: str, tensors: dict[str, Tensor]) -> bool:
    """Put the tensors below a path into `tensors`; tell whether there is nothing but them."""
    for name, value in content.items():
        below = f"{path}{name}"
        if isinstance(value, Tensor):
            tensors[below] = value
        elif not isinstance(value, dict) or not _gather(value, below + "/", tensors):
            return False
    return True


def _array(kind: int, data: bytes) -> Tensor:
    if kind != ARRAY:
        raise ValueError(f"an extension of type {kind}, which is no array")
    shape, name, buffer = msgpack.unpackb(data)
    if name not in DTYPES:
        raise ValueError(f"an array of dtype {cut(name)}")
    dtype = DTYPES[name]
    if len(buffer) != prod(shape) * dtype.itemsize:
        raise ValueError(f"an array whose bytes do not fill its shape {cut(shape)}")
    if not buffer:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(buffer), dtype=dtype).view(shape)
