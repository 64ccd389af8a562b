"""The shipped checkpoints: official formats, within their size, and able to draw."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from bakeoff.samplers.catalog import MODELS, TINY_WEIGHTS, load_sampler
from bakeoff.samplers.llamagen import load_tokenizer
from bakeoff.samplers.networks.checkpoint import hash_files, load_state, load_weights
from bakeoff.samplers.networks.vqgan import VQGAN, VQGANConfig
from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.detector import detect

FILES = sorted(TINY_WEIGHTS.rglob("*.safetensors"))


def test_weights_fit_their_budget_in_half_precision() -> None:
    assert sum(file.stat().st_size for file in FILES) <= 40e6
    for file in FILES:
        with safe_open(file, framework="pt") as tensors:
            dtypes = {tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118
        assert dtypes == {"F16"}, file


def test_every_part_of_the_models_and_the_judge_is_there() -> None:
    folders = {str(file.parent.relative_to(TINY_WEIGHTS)) for file in FILES}
    assert folders == {
        "clip",
        "tiny-meissonic/text_encoder",
        "tiny-meissonic/transformer",
        "tiny-meissonic/vqvae",
        "tiny-llamagen/gpt",
        "tiny-llamagen/text_encoder",
        "tiny-llamagen/vq",
        "tiny-llamagen-c2i/gpt",
        "tiny-llamagen-c2i/vq",
        "tiny-maskgit/MaskGIT",
        "tiny-maskgit/VQGAN",
    }


@pytest.mark.parametrize("name", ["tiny-meissonic", "tiny-llamagen"])
def test_shipped_models_draw_held_out_prompts(name: str) -> None:
    """Far above chance (below 10 %) on a first few prompts; the model card has the figures."""
    recipe = MODELS[name].recipe
    assert recipe is not None
    prompts = grammar.shapes_prompts("held_out")[:24]
    images = load_sampler(name).generate([p.prompt for p in prompts], range(24), recipe).images
    true = [grammar.holds(p.expectation, detect(i)) for p, i in zip(prompts, images, strict=True)]
    assert np.mean(true) >= 0.6


@pytest.mark.parametrize("name", ["tiny-maskgit", "tiny-llamagen-c2i"])
def test_shipped_models_draw_their_classes(name: str) -> None:
    """Far above chance (3 %): a picture of every class; the model card has the figures."""
    recipe = MODELS[name].recipe
    assert recipe is not None
    prompts = grammar.class_prompts()
    images = load_sampler(name).generate([p.prompt for p in prompts], range(36), recipe).images
    true = [grammar.holds(p.expectation, detect(i)) for p, i in zip(prompts, images, strict=True)]
    assert np.mean(true) >= 0.9


@pytest.mark.parametrize("name", ["tiny-maskgit", "tiny-llamagen-c2i"])
def test_the_names_of_classes_are_those_of_the_world(name: str) -> None:
    names = json.loads((TINY_WEIGHTS / name / "classes.json").read_text())
    assert [f"a {name}" for name in names] == [p.prompt for p in grammar.class_prompts()]


def test_class_conditional_models_have_the_tokenizer_of_tiny_llamagen() -> None:
    """A copy, and the same network under the names of MaskGIT's: what they differ in is no code."""
    folders = (TINY_WEIGHTS / name / "vq" for name in ("tiny-llamagen", "tiny-llamagen-c2i"))
    assert len({hash_files(folder) for folder in folders}) == 1
    theirs, ours = load_tokenizer(TINY_WEIGHTS / "tiny-llamagen/vq"), _vqgan()
    tokens = torch.from_numpy(np.stack([world.tokens(s) for _, s in grammar.class_scenes()[::40]]))
    with torch.inference_mode():
        picture = theirs.decode(tokens)
        assert torch.allclose(ours.decode(tokens), picture, atol=5e-3)
        assert torch.equal(ours.encode(picture), theirs.encode(picture))


def _vqgan() -> VQGAN:
    folder = TINY_WEIGHTS / "tiny-maskgit/VQGAN"
    tensors = load_weights(folder)
    network = VQGAN(VQGANConfig.of(tensors, folder)).eval()
    load_state(network, tensors, source=folder)
    return network


def test_the_model_card_tells_of_every_model() -> None:
    card = (Path(grammar.__file__).parent / "MODEL_CARD.md").read_text()
    assert all(
        name in card for name in ("judge", *(name for name in MODELS if name.startswith("tiny-")))
    )
