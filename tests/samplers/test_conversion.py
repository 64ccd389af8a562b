"""Official weights become safetensors once, and everything else stays as it is."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from bakeoff.samplers.conversion import convert
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import file_hashes, load_weights
from tests.samplers.maskgit_folders import golden_weights, write_flax, write_folder, write_lightning
from tests.samplers.networks.test_tensor_file import Calls


def test_a_file_is_converted_beside_itself_and_says_where_from(tmp_path: Path) -> None:
    file = tmp_path / "c2i_B_256.pt"
    shared = torch.arange(6.0).view(2, 3)
    tensors = {"whole": shared, "again": shared, "row": shared[0], "turned": shared.T}
    torch.save({"model": tensors, "steps": 3}, file)
    ((old, new),) = convert(file)
    assert (old, new) == (file, tmp_path / "c2i_B_256.safetensors")
    found = load_file(new)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in tensors.items())
    with safe_open(new, framework="pt") as opened:
        (sha256,) = file_hashes(file).values()
        assert opened.metadata() == {
            "format": "pt", "converted_from": file.name, "sha256": sha256,
        }  # fmt: skip


@pytest.mark.parametrize("form", ["v1", "halton", "jax"])
def test_a_folder_becomes_a_checkpoint_with_the_same_weights(tmp_path: Path, form: str) -> None:
    source = write_folder(tmp_path / "official", form)
    converted = convert(source)
    target = tmp_path / "official-safetensors"
    assert len(converted) == 2 and all(new.suffix == ".safetensors" for _, new in converted)
    for part in ("MaskGIT", "VQGAN"):
        old, new = load_weights(source / part), load_weights(target / part)
        assert old.keys() == new.keys()
        assert all(torch.equal(new[key], tensor) for key, tensor in old.items())
    others = [file for file in source.rglob("*.json")]
    assert all(
        (target / file.relative_to(source)).read_text() == file.read_text() for file in others
    )


def test_the_output_may_be_named_and_is_never_written_over(tmp_path: Path) -> None:
    write_flax(tmp_path / "maskgit_imagenet256_checkpoint", golden_weights("jax_transformer"))
    file, output = tmp_path / "maskgit_imagenet256_checkpoint", tmp_path / "mine.safetensors"
    assert convert(file, output) == [(file, output)]
    before = output.read_bytes()
    with pytest.raises(InputError, match=r"is there already: name another by --output$"):
        convert(file, output)
    assert output.read_bytes() == before


def test_a_file_that_needs_code_stops_a_folder_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "model"
    source.mkdir()
    write_lightning(source / "a.ckpt", {"weight": torch.ones(2)})
    torch.save({"weight": Calls(os.system, "touch ran")}, source / "b.pt")
    with pytest.raises(InputError, match=r"b\.pt: is refused: it names 'posix\.system'"):
        convert(source)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_converted_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    for source in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent.pt"):
        with pytest.raises(InputError, match="there are no weights to convert here"):
            convert(source)
    torch.save({"weight": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"'.*notes.txt/out' cannot be written: "):
        convert(tmp_path / "a.pt", tmp_path / "notes.txt/out")
