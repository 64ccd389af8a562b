import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import hash_files, load_config, load_state, load_weights


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([7.0, 8.0])}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor)


def write_shards(folder: Path, tensors: dict[str, Tensor], names: list[str]) -> None:
    weight_map = dict(zip(tensors, names, strict=True))
    for key, name in weight_map.items():
        save_file({key: tensors[key]}, folder / Path(name).name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_config_leaves_private_keys_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "X", "num_layers": 3}')
    assert load_config(tmp_path) == {"num_layers": 3}


@pytest.mark.parametrize("content", [None, "{half", "[1]", b"\xff\xfe"])
def test_bad_config_is_named_in_the_error(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "config.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"config\.json"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "name", ["diffusion_pytorch_model.safetensors", "model.safetensors", "vq_ds16.safetensors"]
)
def test_weights_are_found_in_a_folder(
    tmp_path: Path, tensors: dict[str, Tensor], name: str
) -> None:
    save_file(tensors, tmp_path / name)
    assert_same(load_weights(tmp_path), tensors)
    assert_same(load_weights(tmp_path / name), tensors)


def test_shards_are_joined(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write_shards(tmp_path, tensors, ["part-1.safetensors", "part-2.safetensors"])
    assert_same(load_weights(tmp_path), tensors)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/etc/passwd"])
def test_shard_outside_the_folder_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor], name: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_shards(folder, tensors, ["part-1.safetensors", name])
    save_file(tensors, tmp_path / "elsewhere.safetensors")
    with pytest.raises(InputError, match="not in its folder"):
        load_weights(folder)


def test_missing_shard_is_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write_shards(tmp_path, tensors, ["part-1.safetensors", "part-2.safetensors"])
    (tmp_path / "part-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"part-2\.safetensors"):
        load_weights(tmp_path)


@pytest.mark.parametrize("wrapper", [None, "model", "module", "state_dict"])
def test_wrappers_of_torch_files_are_opened(
    tmp_path: Path, tensors: dict[str, Tensor], wrapper: str | None
) -> None:
    file = tmp_path / "c2i.pt"
    torch.save({wrapper: tensors, "steps": 5} if wrapper else tensors, file)
    assert_same(load_weights(file), tensors)


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_code_in_a_torch_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"weight": Touch(tmp_path / "ran")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt"):
        load_weights(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


def test_anything_but_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1), "epoch": 3}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="named tensors"):
        load_weights(tmp_path)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("kept", [0, 20])
def test_half_written_file_is_named(
    tmp_path: Path, tensors: dict[str, Tensor], suffix: str, kept: int
) -> None:
    file = tmp_path / f"model.{suffix}"
    if suffix == "pt":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match=file.name):
        load_weights(tmp_path)


def test_folder_without_or_with_several_weights_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    with pytest.raises(InputError, match="found none"):
        load_weights(tmp_path)
    save_file(tensors, tmp_path / "a.safetensors")
    save_file(tensors, tmp_path / "b.safetensors")
    with pytest.raises(InputError, match=r"found a\.safetensors, b\.safetensors"):
        load_weights(tmp_path)


def test_state_takes_the_dtype_of_the_module(tensors: dict[str, Tensor]) -> None:
    module = nn.Linear(3, 2)
    load_state(module, {key: t.half() for key, t in tensors.items()}, source="file")
    assert module.weight.dtype == torch.float32
    assert_same(module.state_dict(), tensors)


def test_wrong_keys_and_shapes_are_named(tensors: dict[str, Tensor]) -> None:
    module = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"^here: the weight 'bias' is missing$"):
        load_state(module, {"weight": tensors["weight"]}, source="here")
    with pytest.raises(InputError, match=r"^here: the weight 'a' is unexpected \(and 1 more\)$"):
        load_state(module, {**tensors, "b": torch.ones(1), "a": torch.ones(1)}, source="here")
    with pytest.raises(InputError, match=r"'weight' has shape \[3, 2\], .* asks for \[2, 3\]"):
        load_state(module, {**tensors, "weight": tensors["weight"].T}, source="here")


def test_refused_state_changes_nothing(tensors: dict[str, Tensor]) -> None:
    module = nn.Linear(3, 2)
    before = {key: t.clone() for key, t in module.state_dict().items()}
    with pytest.raises(InputError):
        load_state(module, {**tensors, "weight": tensors["weight"].T}, source="here")
    assert_same(module.state_dict(), before)


def test_ignored_keys_may_stand_in_the_file(tensors: dict[str, Tensor]) -> None:
    module = nn.Linear(3, 2)
    extra = {"loss.net.0.weight": torch.ones(1), "old_ids": torch.ones(1)}
    load_state(module, {**tensors, **extra}, source="here", ignore=["loss.*", "old_ids"])
    assert_same(module.state_dict(), tensors)


def test_hash_follows_contents_and_names_only(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    def write(folder: Path, name: str, scale: float, note: str) -> str:
        (folder / "vqvae").mkdir(parents=True)
        save_file({k: t * scale for k, t in tensors.items()}, folder / "vqvae" / name)
        (folder / "README.md").write_text(note)
        return hash_files(folder)

    first = write(tmp_path / "a", "model.safetensors", 1.0, "one")
    assert len(first) == 64
    assert write(tmp_path / "b", "model.safetensors", 1.0, "two") == first
    assert write(tmp_path / "c", "model.safetensors", 2.0, "one") != first
    assert write(tmp_path / "d", "other.safetensors", 1.0, "one") != first


def test_hash_counts_configuration_and_vocabulary(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    save_file(tensors, tmp_path / "model.safetensors")
    seen = {hash_files(tmp_path)}
    for name in ("config.json", "merges.txt"):
        (tmp_path / name).write_text("{}")
        seen.add(hash_files(tmp_path))
    assert len(seen) == 3


def test_nothing_to_hash_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint files"):
        hash_files(tmp_path / "nowhere")
