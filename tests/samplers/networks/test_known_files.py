"""What is remembered of large files is never told of another content."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks import checkpoint, known_files
from bakeoff.samplers.networks.checkpoint import load_state, load_weights
from bakeoff.samplers.networks.known_files import hash_file


@pytest.fixture(autouse=True)
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file for a large one that has not changed for long."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(known_files, "SMALL_BYTES", 0)
    monkeypatch.setattr(checkpoint, "SMALL_BYTES", 0)
    monkeypatch.setattr(known_files, "SETTLED_NS", -1)
    later()


def later() -> None:
    """Forget what this process knows, as a new one does."""
    known_files._hash.cache_clear()


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(file: Path) -> str:
        raise AssertionError(f"{file} is read again")

    monkeypatch.setattr(known_files, "_read", read)
    later()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"one")
    return tmp_path / "file"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_later_process_does_not_read_a_file_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hash_file(file) == sha256(b"one")
    unread(monkeypatch)
    assert hash_file(file) == sha256(b"one")


def test_a_link_is_known_as_what_it_leads_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    hash_file(file)
    unread(monkeypatch)
    assert hash_file(link) == sha256(b"one")


def test_other_content_of_the_same_size_and_date_is_read(file: Path) -> None:
    hash_file(file)
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    later()
    assert hash_file(file) == sha256(b"two")


def test_another_file_in_the_same_place_is_read(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"two")
    hash_file(file)
    other.replace(file)
    later()
    assert hash_file(file) == sha256(b"two")


def test_a_file_that_just_changed_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(known_files, "SETTLED_NS", 10**18)
    hash_file(file)
    assert not (tmp_path / "cache").exists()


def test_small_files_leave_no_notes(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(known_files, "SMALL_BYTES", 4)
    assert hash_file(file) == sha256(b"one")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"file": "x"}', '{"file": 1, "state": 2, "sha256": 3}']
)
def test_a_damaged_note_is_worth_nothing(file: Path, note: str, tmp_path: Path) -> None:
    hash_file(file)
    (kept,) = (tmp_path / "cache/bakeoff/hashes").iterdir()
    kept.write_text(note)
    later()
    assert hash_file(file) == sha256(b"one")


def test_without_a_cache_files_are_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    assert hash_file(file) == sha256(b"one")


def load(folder: Path) -> nn.Linear:
    module = nn.Linear(2, 1, bias=False)
    load_state(module, load_weights(folder), source=folder)
    return module


def test_numbers_are_looked_at_once_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gpt"
    folder.mkdir()
    save_file({"weight": torch.ones(1, 2)}, folder / "model.safetensors")
    load(folder)
    looked: list[Tensor] = []
    original = Tensor.isfinite
    monkeypatch.setattr(Tensor, "isfinite", lambda one: looked.append(one) or original(one))
    load(folder)
    assert not looked
    save_file({"weight": torch.tensor([[1.0, torch.inf]])}, folder / "model.safetensors")
    later()
    for _ in range(2):
        with pytest.raises(InputError, match="'weight' holds infinities or no numbers"):
            load(folder)
    assert len(looked) == 2


def test_a_module_without_memory_is_compared_and_filled_with_nothing(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(1, 2)}, tmp_path / "model.safetensors")
    with torch.device("meta"):
        assert load(tmp_path).weight.is_meta
    save_file({"weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    with torch.device("meta"), pytest.raises(InputError, match=r"has shape \[2, 2\]"):
        load(tmp_path)
