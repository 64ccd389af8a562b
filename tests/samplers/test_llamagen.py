from pathlib import Path

import numpy as np
import pytest
import torch

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.llamagen import LlamaGenSampler
from bakeoff.samplers.recipe import Recipe
from tests.samplers.llamagen_folders import COLORS, SHAPES, write_checkpoint

PROMPTS = [f"a {color} {shape}" for color in COLORS for shape in SHAPES]
RECIPES = [
    "guidance_scale=3",
    "guidance_scale=2 noise=abs_cos differential=75 top_k=30 top_p=0.9",
    "guidance_scale=2 guidance_interval=2..15 jacobi=4",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "small-llamagen")


@pytest.fixture(scope="module")
def sampler(folder: Path) -> LlamaGenSampler:
    return LlamaGenSampler.from_folder(folder)


@pytest.mark.parametrize("recipe", RECIPES)
def test_pixels_do_not_depend_on_the_batch(sampler: LlamaGenSampler, recipe: str) -> None:
    chosen, seeds = Recipe.from_text(recipe), range(9)
    runs = []
    for size in (1, 3, 9):
        parts = [
            sampler.generate(PROMPTS[start : start + size], seeds[start : start + size], chosen)
            for start in range(0, 9, size)
        ]
        runs.append([np.concatenate([getattr(p, f) for p in parts]) for f in ("tokens", "images")])
    for tokens, images in runs[1:]:
        assert np.array_equal(tokens, runs[0][0])
        assert np.array_equal(images, runs[0][1])
    assert len(np.unique(runs[0][1], axis=0)) == 9


def test_order_and_company_change_no_image(sampler: LlamaGenSampler) -> None:
    recipe = Recipe(guidance_scale=3.0)
    forward = sampler.generate(PROMPTS, range(9), recipe)
    backward = sampler.generate(PROMPTS[::-1], range(8, -1, -1), recipe)
    assert np.array_equal(forward.images, backward.images[::-1])


def test_generation_tells_shapes_and_cost(sampler: LlamaGenSampler) -> None:
    generation = sampler.generate(PROMPTS[:2], [1, 1], Recipe(guidance_scale=3.0))
    assert generation.images.shape == (2, 20, 20, 3)
    assert generation.images.dtype == np.uint8
    assert generation.tokens.shape == (2, 5, 5)
    assert generation.tokens.dtype == np.int64
    assert generation.row_evaluations.tolist() == [50, 50]
    assert generation.network_calls.tolist() == [25, 25]


@pytest.mark.parametrize("text", ["guidance_scale=3", "guidance_scale=3 jacobi=4"])
def test_every_stage_takes_its_time(sampler: LlamaGenSampler, text: str) -> None:
    generation = sampler.generate(PROMPTS[:2], [1, 1], Recipe.from_text(text))
    assert list(generation.seconds) == ["text", "network", "draw", "decode"]
    assert all(seconds > 0 for seconds in generation.seconds.values())


def test_half_precision_and_compilation_are_a_choice_of_the_loader(folder: Path) -> None:
    half = LlamaGenSampler.from_folder(folder, dtype=torch.bfloat16, compiled=True)
    assert half.network.tok_embeddings.weight.dtype == torch.bfloat16
    assert half.tokenizer.quantize.embedding.weight.dtype == torch.float32
    assert next(half.text.encoder.parameters()).dtype == torch.float32
    assert half.network.compiled
    plain = LlamaGenSampler.from_folder(folder, dtype=torch.bfloat16)
    generation = plain.generate(PROMPTS[:2], [1, 2], Recipe(guidance_scale=3.0))
    alone = plain.generate(PROMPTS[:1], [1], Recipe(guidance_scale=3.0))
    assert np.array_equal(generation.images[:1], alone.images)


def test_prompt_and_seed_both_matter(sampler: LlamaGenSampler) -> None:
    prompts = [PROMPTS[0], PROMPTS[0], PROMPTS[1]]
    first, reseeded, other = sampler.generate(prompts, [1, 2, 1], Recipe(guidance_scale=3.0)).tokens
    assert not np.array_equal(first, reseeded)
    assert not np.array_equal(first, other)


def test_images_are_the_decoded_tokens(sampler: LlamaGenSampler) -> None:
    generation = sampler.generate(PROMPTS[:3], [1, 2, 3], Recipe())
    with torch.inference_mode():
        decoded = sampler.tokenizer.decode(torch.from_numpy(generation.tokens))
    expected = (127.5 * decoded + 128).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(generation.images - np.floor(expected)).max() <= 1


def test_the_hash_names_the_weights(sampler: LlamaGenSampler, folder: Path, tmp_path: Path) -> None:
    assert (sampler.name, sampler.family) == ("small-llamagen", "autoregressive")
    same, other = (
        write_checkpoint(tmp_path / "same"),
        write_checkpoint(tmp_path / "other", n_layer=1),
    )
    assert LlamaGenSampler.from_folder(same).weights_hash == sampler.weights_hash
    assert LlamaGenSampler.from_folder(other).weights_hash != sampler.weights_hash


@pytest.mark.parametrize(
    ("prompts", "seeds", "recipe", "message"),
    [
        (["a"], [1, 2], Recipe(), "1 prompts and 2 seeds"),
        ([], [], Recipe(), "0 prompts and 0 seeds"),
        (["a"], [1], Recipe(zigzag="masked", steps=8), "autoregressive"),
        (["a"], [1], Recipe(argmax_from=25), "argmax_from=25 must be below 25"),
        (["a"], [1], Recipe(guidance_scale=2, guidance_interval="20..26"), "must end at 25"),
    ],
)
def test_wrong_requests_are_refused(
    sampler: LlamaGenSampler, prompts: list, seeds: list, recipe: Recipe, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sampler.generate(prompts, seeds, recipe)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"caption_dim": 32}, "caption_dim"),
        ({"vocab_size": 60}, "codebook_size"),
        ({"model_type": "c2i"}, "cls_token_num"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LlamaGenSampler.from_folder(write_checkpoint(tmp_path / "model", **settings))


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gpt"):
        LlamaGenSampler.from_folder(tmp_path)
