import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.clip_text import ClipTextEncoder

ATOL = 1e-5
PROMPTS = ["a red circle", "", "two blue squares above a green star"]


@pytest.fixture
def checkpoint(golden: Path) -> Path:
    return next(iter(sorted(golden.glob("meissonic/ckpt_*/text_encoder")))).parent


def load(checkpoint: Path) -> ClipTextEncoder:
    return ClipTextEncoder.from_folder(checkpoint / "text_encoder", checkpoint / "tokenizer")


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=ATOL, rtol=0)


@pytest.mark.golden_files("meissonic/text")
def test_text_is_encoded_as_officially(golden_file: Any) -> None:
    name = golden_file.description["checkpoint"].partition("/")[0]
    encoder = load(golden_file.folder / name)
    prompts, tensors = golden_file.description["prompts"], golden_file.tensors
    assert torch.equal(encoder.tokenize(prompts), tensors["input_ids"])
    states, pooled = encoder.encode(prompts)
    close(states, tensors["out.hidden_penultimate"])
    close(pooled, tensors["out.text_embeds"])
    if "out.last_hidden_state" in tensors:
        last = encoder.model.text_model(input_ids=tensors["input_ids"]).last_hidden_state
        close(last, tensors["out.last_hidden_state"])


def test_batches_do_not_change_a_prompt(golden: Path, checkpoint: Path) -> None:
    encoder = load(checkpoint)
    states, pooled = encoder.encode(PROMPTS)
    for i, prompt in enumerate(PROMPTS):
        alone = encoder.encode([prompt])
        close(alone[0][0], states[i])
        close(alone[1][0], pooled[i])


def test_long_prompt_is_cut_before_its_end_token(golden: Path, checkpoint: Path) -> None:
    encoder = load(checkpoint)
    ids = encoder.tokenize(["word " * 200])
    assert ids.shape == (1, encoder.length)
    assert ids[0, -1] == encoder.tokenizer.eos_token_id
    assert ids[0, -2] != encoder.tokenizer.eos_token_id


def test_states_carry_gradients_and_encode_does_not(golden: Path, checkpoint: Path) -> None:
    encoder = load(checkpoint)
    states, pooled = encoder.states(encoder.tokenize(PROMPTS))
    (states.sum() + pooled.square().sum()).backward()
    assert encoder.model.text_projection.weight.grad is not None
    assert encoder.model.text_model.embeddings.token_embedding.weight.grad is not None
    assert not any(output.requires_grad for output in encoder.encode(PROMPTS))


def test_old_position_buffer_is_ignored(golden: Path, checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "text_encoder"
    shutil.copytree(checkpoint / "text_encoder", copy)
    file = copy / "model.safetensors"
    ids = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    save_file({**load_file(file), **ids}, file)
    old = ClipTextEncoder.from_folder(copy, checkpoint / "tokenizer")
    assert torch.equal(old.encode(PROMPTS)[0], load(checkpoint).encode(PROMPTS)[0])


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_it_runs_in_float32_whatever_its_configuration_names(
    golden: Path, checkpoint: Path, tmp_path: Path, key: str
) -> None:
    copy = tmp_path / "text_encoder"
    shutil.copytree(checkpoint / "text_encoder", copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {key: "float16"}))
    half = ClipTextEncoder.from_folder(copy, checkpoint / "tokenizer")
    assert torch.equal(half.encode(PROMPTS)[0], load(checkpoint).encode(PROMPTS)[0])


@pytest.mark.parametrize("missing", ["text_encoder", "tokenizer"])
def test_missing_folder_is_named(
    golden: Path, checkpoint: Path, tmp_path: Path, missing: str
) -> None:
    folders = {name: checkpoint / name for name in ("text_encoder", "tokenizer")}
    folders[missing] = tmp_path / "nowhere"
    with pytest.raises(InputError, match="nowhere"):
        ClipTextEncoder.from_folder(folders["text_encoder"], folders["tokenizer"])


def test_the_text_tower_of_a_whole_clip_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    source = checkpoint / "text_encoder"
    settings = json.loads((source / "config.json").read_text())
    inner = {key: value for key, value in settings.items() if key != "projection_dim"}
    whole = {"model_type": "clip", "projection_dim": settings["projection_dim"]}
    config = whole | {"text_config": inner, "vision_config": {"hidden_size": 8}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    extras = ("logit_scale", "vision_model.post_layernorm.weight", "visual_projection.weight")
    tensors = load_file(source / "model.safetensors") | {key: torch.ones(1) for key in extras}
    save_file(tensors, tmp_path / "model.safetensors")
    found = ClipTextEncoder.from_folder(tmp_path, checkpoint / "tokenizer").encode(PROMPTS)
    assert all(map(torch.equal, found, load(checkpoint).encode(PROMPTS)))
