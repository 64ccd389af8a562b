"""Files that do not fit stop `bakeoff run` with one sentence, before any model loads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from tests.samplers.tiny_pipelines import MAKERS as PIPELINES

STUDY = """
name: small
benchmark: {{name: shapes, limit: 1}}
metrics: [composition]
models:
  - path: model
    recipes: {{vanilla: {recipe}}}
"""
RECIPES = {
    "masked": "steps=4",
    "autoregressive": "guidance_scale=2",
    "diffusion": "steps=4",
}
WEIGHTS = {
    "masked": "transformer/diffusion_pytorch_model.safetensors",
    "autoregressive": "gpt/model.safetensors",
}
KEYS = {"masked": "embed.layer_norm.weight", "autoregressive": "norm.weight"}
Damage = Callable[[Path, str], None]


def edit(change: Callable[[dict[str, Tensor], str], object]) -> Damage:
    """Return a damage that changes the tensors of a file, and knows of one key."""

    def damage(file: Path, key: str) -> None:
        tensors = load_file(file)
        change(tensors, key)
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, file)

    return damage


def put(value: float) -> Damage:
    def change(tensors: dict[str, Tensor], key: str) -> None:
        tensors[key] = tensors[key].clone()
        tensors[key][-1] = value

    return edit(change)


def cut(file: Path, key: str) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path, key: str) -> None:
    file.write_bytes(b"")


def remove(file: Path, key: str) -> None:
    file.unlink()


def exchange(file: Path, key: str) -> None:
    save_file({"unet.conv_in.weight": torch.ones(4, 4)}, file)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "missing key": (edit(lambda tensors, key: tensors.pop(key)), "{key!r} is missing"),
    "extra key": (
        edit(lambda tensors, key: tensors.update(stray=torch.ones(1))),
        "'stray' is unexpected",
    ),
    "wrong shape": (
        edit(lambda tensors, key: tensors.update({key: torch.ones(3)})),
        "{key!r} has shape [3]",
    ),
    "infinity": (put(torch.inf), "{key!r} holds infinities or no numbers"),
    "no number": (put(torch.nan), "{key!r} holds infinities or no numbers"),
    "truncated": (cut, "{file}: cannot be read as weights"),
    "empty": (empty, "{file}: cannot be read as weights"),
    "no file": (remove, "expected one file of weights, found none"),
    "another network": (exchange, " is missing"),
}


@pytest.fixture
def run(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Callable[[Path], None]], str]:
    """Run a study on a copy of a checkpoint, changed before, and return the one sentence."""

    def load_nothing(*arguments: object, **options: object) -> None:
        raise AssertionError("a model is loaded")

    def refused(family: str, change: Callable[[Path], None]) -> str:
        folder = tmp_path / "model"
        if family == "diffusion":
            PIPELINES["amused"]().save_pretrained(folder)
        else:
            shutil.copytree(checkpoints / family, folder)
        change(folder)
        study = tmp_path / "study.yaml"
        study.write_text(STUDY.format(recipe=RECIPES[family]))
        monkeypatch.setattr(nn.Module, "load_state_dict", load_nothing)
        before = sorted(tmp_path.iterdir())
        runner = CliRunner(env={"COLUMNS": "120"})
        result = runner.invoke(app, ["run", str(study), "--store", str(tmp_path / "store")])
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        (line,) = result.stderr.splitlines()
        assert line.startswith("bakeoff: ") and sorted(tmp_path.iterdir()) == before
        return line

    return refused


@pytest.mark.parametrize("family", list(WEIGHTS))
@pytest.mark.parametrize("kind", list(DAMAGES))
def test_wrong_weights_are_named(
    run: Callable[[str, Callable[[Path], None]], str], family: str, kind: str
) -> None:
    damage, told = DAMAGES[kind]
    name, key = WEIGHTS[family], KEYS[family]
    line = run(family, lambda folder: damage(folder / name, key))
    assert told.format(key=key, file=Path(name).name) in line
    assert f"model/{Path(name).parent}" in line


@pytest.mark.parametrize(
    ("family", "part", "told"),
    [
        ("masked", "vqvae", "model/vqvae"),
        ("masked", "text_encoder", "model/text_encoder"),
        ("autoregressive", "vq", "model/vq"),
        ("autoregressive", "text_encoder", "model/text_encoder"),
        ("diffusion", "transformer", "model/transformer"),
        ("diffusion", "vqvae", "model/vqvae"),
        ("diffusion", "text_encoder", "model/text_encoder"),
    ],
)
def test_other_parts_are_looked_at_as_well(
    run: Callable[[str, Callable[[Path], None]], str], family: str, part: str, told: str
) -> None:
    def change(folder: Path) -> None:
        (file,) = (folder / part).glob("*.safetensors")
        cut(file, "")

    assert told in run(family, change)


@pytest.mark.parametrize(
    ("family", "settings", "told"),
    [
        ("masked", {"num_attention_heads": 3}, "num_attention_heads"),
        ("masked", {"num_layers": "many"}, "cannot be loaded"),
        ("autoregressive", {"dim": 4}, "dim 4 must be"),
        ("autoregressive", {"n_layer": None}, "n_layer"),
    ],
)
def test_a_configuration_of_another_network_is_told(
    run: Callable[[str, Callable[[Path], None]], str],
    family: str,
    settings: dict[str, object],
    told: str,
) -> None:
    def change(folder: Path) -> None:
        file = folder / Path(WEIGHTS[family]).parent / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))

    line = run(family, change)
    assert "/model" in line and told in line


def test_the_weights_of_another_architecture_are_told(
    run: Callable[[str, Callable[[Path], None]], str], checkpoints: Path
) -> None:
    def change(folder: Path) -> None:
        shutil.copy(checkpoints / WEIGHTS["autoregressive"].replace("gpt", "autoregressive/gpt"),
                    folder / WEIGHTS["masked"])  # fmt: skip

    assert "model/transformer: the weight " in run("masked", change)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (put(torch.inf), "holds infinities or no numbers"),
        (remove, "model/transformer: expected one file of weights, found none"),
    ],
)
def test_the_files_of_pipelines_are_whole_and_their_numbers_finite(
    run: Callable[[str, Callable[[Path], None]], str], damage: Damage, told: str
) -> None:
    def change(folder: Path) -> None:
        file = folder / "transformer/diffusion_pytorch_model.safetensors"
        damage(file, min(load_file(file)))

    assert told in run("diffusion", change)
