"""The shipped checkpoints: official formats, within their size, and able to draw."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from bakeoff.samplers.catalog import MODELS, TINY_WEIGHTS, load_sampler
from bakeoff.samplers.tiny import grammar
from bakeoff.samplers.tiny.detector import detect

FILES = sorted(TINY_WEIGHTS.rglob("*.safetensors"))


def test_weights_fit_their_budget_in_half_precision() -> None:
    assert sum(file.stat().st_size for file in FILES) <= 40e6
    for file in FILES:
        with safe_open(file, framework="pt") as tensors:
            dtypes = {tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118
        assert dtypes == {"F16"}, file


def test_every_part_of_both_models_and_the_judge_is_there() -> None:
    folders = {str(file.parent.relative_to(TINY_WEIGHTS)) for file in FILES}
    assert folders == {
        "clip",
        "tiny-meissonic/text_encoder",
        "tiny-meissonic/transformer",
        "tiny-meissonic/vqvae",
        "tiny-llamagen/gpt",
        "tiny-llamagen/text_encoder",
        "tiny-llamagen/vq",
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


def test_the_model_card_tells_of_every_model() -> None:
    card = (Path(grammar.__file__).parent / "MODEL_CARD.md").read_text()
    assert all(name in card for name in ("tiny-meissonic", "tiny-llamagen", "judge"))
