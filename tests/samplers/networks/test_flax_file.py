from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import file_hashes, load_weights
from bakeoff.samplers.networks.flax_file import read_flax
from bakeoff.samplers.networks.flax_names import from_flax
from tests.samplers.maskgit_folders import packed_array, write_flax

TENSORS = {
    "Embed_0/embedding": torch.arange(6, dtype=torch.float32).view(2, 3),
    "Dense/kernel": torch.ones(3, 2, dtype=torch.float16),
    "Dense/empty": torch.empty(0, 4),
    "steps": torch.tensor(7),
}


def test_arrays_come_back_by_their_paths(tmp_path: Path) -> None:
    write_flax(tmp_path / "x_checkpoint", TENSORS)
    for found in (read_flax(tmp_path / "x_checkpoint"), load_weights(tmp_path)):
        assert found.keys() == TENSORS.keys()
        for path, tensor in TENSORS.items():
            assert found[path].dtype == tensor.dtype and found[path].equal(tensor)
    assert list(file_hashes(tmp_path)) == ["x_checkpoint"]


def extension(kind: int, *content: Any) -> msgpack.ExtType:
    return msgpack.ExtType(kind, msgpack.packb(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"params": {"a": extension(1, (2,), "float32", b"abcd")}}, "do not fill its shape"),
        ({"params": {"a": extension(1, (1,), "object", b"abcd")}}, "dtype object"),
        ({"params": {"a": extension(9, b"abcd")}}, "extension of type 9"),
        ({"params": {"a": extension(1, 5)}}, "cannot be read as weights"),
        ({"params": {"a": packed_array(torch.ones(1)), "b": "text"}}, "nothing else"),
        ([1, 2], "nothing else"),
    ],
)
def test_what_holds_anything_but_arrays_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    file = tmp_path / "x.msgpack"
    file.write_bytes(msgpack.packb(content))
    with pytest.raises(InputError, match=message) as caught:
        read_flax(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 30, 60])
def test_half_written_file_is_named(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "x_checkpoint"
    write_flax(file, TENSORS)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match="x_checkpoint"):
        load_weights(tmp_path)


def test_layouts_are_those_of_torch() -> None:
    flax = {
        "a/kernel": torch.randn(3, 2),
        "b/kernel": torch.randn(5, 7, 3, 2),
        "c/query/kernel": torch.randn(6, 2, 4),
        "c/out/kernel": torch.randn(2, 4, 6),
        "c/query/bias": torch.randn(2, 4),
        "d/scale": torch.randn(3),
        "e/other": torch.randn(3),
    }
    shapes = {key: list(tensor.shape) for key, tensor in from_flax(flax).items()}
    assert shapes == {
        "a.weight": [2, 3],
        "b.weight": [2, 3, 5, 7],
        "c.query.weight": [8, 6],
        "c.out.weight": [6, 8],
        "c.query.bias": [8],
        "d.weight": [3],
        "e.other": [3],
    }
