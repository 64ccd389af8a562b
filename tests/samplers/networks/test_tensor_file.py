"""Files of tensors are read, and files that name code are refused and run nothing."""

import builtins
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.tensor_file import read_tensors

LIGHTNING = b"pytorch_lightning.callbacks.model_checkpoint\n"
TOUCH = b"X\x09\x00\x00\x00touch ran"  # the text that would be run


class Calls:
    """Calls a function when it is unpickled with care for nothing."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def write_zip(file: Path, pickled: bytes) -> None:
    """Write a PyTorch file of today around a pickle."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


def refusal(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_tensors(file)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.startswith(f"{file}: ")
    assert "weights_only" not in sentence and "add_safe_globals" not in sentence
    return sentence


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Calls(os.system, "touch ran"), "posix.system"),
        (Calls(eval, "open('ran', 'w')"), "eval"),
        (Calls(builtins.exec, "open('ran', 'w')"), "exec"),
        (Calls(builtins.open, "ran", "w"), "open"),
        (Calls(builtins.getattr, Path("ran"), "touch"), "getattr"),
        (Calls(torch.load, "other.pt"), "torch.serialization.load"),
    ],
)
def test_a_file_that_names_code_is_refused_by_that_name(
    tmp_path: Path, call: Calls, name: str, is_zip: bool
) -> None:
    file = tmp_path / "model.pt"
    content = {"weight": torch.ones(2), "deep": [{"a": (call,)}]}
    torch.save({"model": content}, file, _use_new_zipfile_serialization=is_zip)
    sentence = refusal(file)
    assert "is refused: it names" in sentence and name in sentence
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cos\nsystem\n" + TOUCH + b"\x85R.",
        b"\x80\x02c__builtin__\neval\n" + TOUCH + b"\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93" + TOUCH + b"\x85R.",  # named on the stack
        b"(S'touch ran'\nios\nsystem\n.",  # an instance
        b"(cos\nsystem\n" + TOUCH + b"o.",
        b"\x80\x02\x82\x01.",  # a number of the extension registry
        b"\x80\x02(X\x07\x00\x00\x00storagecos\nsystem\n" + TOUCH + TOUCH + b"K\x01tQ.",
        b"\x80\x02P" + b"touch ran\n.",  # a persistent id in text
        b"\x80\x02c" + LIGHTNING + b"ModelCheckpoint.__init__.__globals__\n.",
        b"\x80\x02c" + LIGHTNING + b"ModelCheckpoint.__class__\n)R.",
        b"\x80\x02c" + LIGHTNING + b"os.system\n" + TOUCH + b"\x85R.",
        b"\x80\x02c" + LIGHTNING + b"ModelCheckpoint\n" + TOUCH + b"\x85R.",  # takes nothing
        b"\x80\x02ctorch\nload\n" + TOUCH + b"\x85R.",
        b"\x80\x02ctorch.hub\nload\n" + TOUCH + b"\x85R.",
    ],
)
def test_no_way_to_name_code_in_a_pickle_runs_it(tmp_path: Path, pickled: bytes) -> None:
    write_zip(tmp_path / "model.pt", pickled)
    refusal(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


def test_a_class_that_official_files_name_holds_data_and_does_nothing(tmp_path: Path) -> None:
    state = b"}X\x04\x00\x00\x00codeX\x09\x00\x00\x00touch rans"
    made = b"c" + LIGHTNING + b"ModelCheckpoint\n)\x81" + state + b"b"
    write_zip(tmp_path / "last.ckpt", b"\x80\x02}X\x09\x00\x00\x00callbacks" + made + b"s.")
    assert "must hold named tensors and nothing else" in refusal(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


def test_the_oldest_format_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.pt", "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = b"\x80\x02cos\nsystem\n" + TOUCH + b"\x85R."
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    refusal(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
        archive.writestr("archive/data.pkl", b"\x80\x02).")
        archive.writestr("archive/code/a.py", b"import os")
    assert "cannot be read as weights" in refusal(tmp_path / "model.pt")


def test_a_refused_file_is_never_read_with_less_care(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    original = torch.load

    def load(*arguments: object, **options: object) -> object:
        calls.append(options["weights_only"])
        return original(*arguments, **options)  # type: ignore[arg-type]

    torch.save({"a": Calls(os.system, "touch ran")}, tmp_path / "model.pt")
    monkeypatch.setattr(torch, "load", load)
    refusal(tmp_path / "model.pt")
    assert calls == [True]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pickled=st.binary(max_size=60), is_zip=st.booleans())
def test_damaged_pickles_are_told_whatever_is_in_them(
    tmp_path: Path, pickled: bytes, is_zip: bool
) -> None:
    file = tmp_path / "model.pt"
    if is_zip:
        write_zip(file, b"\x80\x02" + pickled)
    else:
        file.write_bytes(pickled)
    try:
        tensors = read_tensors(file)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(tensor, Tensor) for tensor in tensors.values())


def test_weights_are_read_on_the_cpu_wherever_networks_are_built(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "model.pt")
    with torch.device("meta"):
        (tensor,) = read_tensors(tmp_path / "model.pt").values()
    assert tensor.tolist() == [1, 1, 1]
