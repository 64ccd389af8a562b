"""Baselines through diffusers: equal to its own calls, told by their ids, and safely read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bakeoff.samplers import diffusion
from bakeoff.samplers.diffusion import DiffusionSampler
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import hash_files, hash_model
from bakeoff.samplers.pipelines import INDEX, check_pipeline_recipe, is_pipeline
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.streams import Streams
from tests.samplers.tiny_pipelines import MAKERS, change_json, flux, write_pipelines

PROMPTS = ["a red circle", "a dog", "a red dog"]
SEEDS = [5, 6, 2**40]
GUIDED = 'steps=3 guidance_scale=3 negative_prompt="circles"'
NAMES = list(MAKERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipelines")
    write_pipelines(root)
    return root


@pytest.fixture(scope="module")
def samplers(folders: Path) -> dict[str, DiffusionSampler]:
    return {name: DiffusionSampler.from_folder(folders / name) for name in NAMES}


def recipe_of(name: str) -> Recipe:
    return Recipe.from_text("steps=3" if name == "flux-schnell" else GUIDED)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_depends_on_its_prompt_and_seed_alone(
    samplers: dict[str, DiffusionSampler], name: str
) -> None:
    sampler, recipe = samplers[name], recipe_of(name)
    three = sampler.generate(PROMPTS, SEEDS, recipe)
    two = sampler.generate(PROMPTS[:0:-1], SEEDS[:0:-1], recipe)
    one = sampler.generate(PROMPTS[1:2], SEEDS[1:2], recipe)
    assert np.array_equal(two.images, three.images[:0:-1])
    assert np.array_equal(one.images[0], three.images[1])
    assert np.array_equal(one.tokens[0], three.tokens[1])
    assert not np.array_equal(three.images[0], three.images[1])
    other = sampler.generate(PROMPTS[:1], [6], recipe)  # another seed, and another prompt
    assert not np.array_equal(other.images[0], three.images[0])
    assert not np.array_equal(other.images[0], three.images[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_batch_at_once_as_on_a_gpu_draws_the_same_noise(
    samplers: dict[str, DiffusionSampler], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, recipe = samplers[name], recipe_of(name)
    alone = sampler.generate(PROMPTS, SEEDS, recipe)
    monkeypatch.setattr(sampler, "images_at_once", None)
    together = sampler.generate(PROMPTS, SEEDS, recipe)
    difference = np.abs(together.images.astype(int) - alone.images)
    assert (difference <= 1).mean() > 0.999  # rounding of other kernels; other noise differs by 60
    assert list(together.row_evaluations) == list(alone.row_evaluations)
    assert list(together.network_calls) == list(alone.network_calls)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("negative", [None, "circles"])
def test_pictures_are_those_of_diffusers_own_call(
    folders: Path, samplers: dict[str, DiffusionSampler], name: str, negative: str | None
) -> None:
    sampler, scale = samplers[name], 3.0
    told: dict[str, Any] = {"negative_prompt": negative, "guidance_scale": scale}
    if name == "flux-schnell":
        told, scale, negative = {"max_sequence_length": 256}, 1.0, None
    recipe = Recipe(steps=3, guidance_scale=scale, negative_prompt=negative or "")
    streams = Streams(SEEDS[:1])
    start = sampler.adapter.start(sampler.pipe, streams, *sampler._latent_size())
    generator = streams.generators(diffusion.SCHEDULER)
    (picture,) = sampler.pipe(
        PROMPTS[0],
        latents=start,
        generator=generator,
        num_inference_steps=3,
        height=sampler.height,
        width=sampler.width,
        **told,
    ).images
    made = sampler.generate(PROMPTS[:1], SEEDS[:1], recipe)
    assert np.array_equal(np.asarray(picture), made.images[0])
    assert made.images.std() > 20  # and is no even grey


@pytest.mark.parametrize(
    ("name", "recipe", "rows", "calls"),
    [
        ("sdxl", "steps=3", 3, 3),
        ("sdxl", GUIDED, 6, 3),
        ("sd3.5", "steps=2 guidance_scale=4", 4, 2),
        ("flux-schnell", "steps=4", 4, 4),
        ("amused", "steps=5 guidance_scale=10", 10, 5),
    ],
)
def test_costs_are_counted_for_each_image(
    samplers: dict[str, DiffusionSampler], name: str, recipe: str, rows: int, calls: int
) -> None:
    made = samplers[name].generate(PROMPTS[:2], SEEDS[:2], Recipe.from_text(recipe))
    assert list(made.row_evaluations) == [rows] * 2
    assert list(made.network_calls) == [calls] * 2
    assert set(made.seconds) == {"text", "draw", "network", "decode"}
    assert not samplers[name].network._forward_hooks  # which the next call would count by, too


def test_only_amused_draws_tokens(samplers: dict[str, DiffusionSampler]) -> None:
    shapes = {
        name: sampler.generate(PROMPTS, SEEDS, recipe_of(name)).tokens.shape
        for name, sampler in samplers.items()
    }
    assert shapes == {
        "sdxl": (3, 0, 0),
        "sd3.5": (3, 0, 0),
        "flux-schnell": (3, 0, 0),
        "amused": (3, 8, 8),
    }


def test_a_resolution_may_be_given_and_must_fit(folders: Path) -> None:
    sampler = DiffusionSampler.from_folder(folders / "flux-schnell", resolution=(16, 24))
    made = sampler.generate(PROMPTS[:2], SEEDS[:2], Recipe(steps=1))
    assert made.images.shape == (2, 16, 24, 3)
    with pytest.raises(InputError, match="resolution 30x32 must be whole multiples of 4 pixels"):
        DiffusionSampler.from_folder(folders / "flux-schnell", resolution=(30, 32))


def test_the_network_and_texts_run_in_a_dtype_and_pictures_are_decoded_in_float32(
    folders: Path,
) -> None:
    for name in NAMES:
        sampler = DiffusionSampler.from_folder(folders / name, dtype=torch.bfloat16)
        made = sampler.generate(PROMPTS[:1], SEEDS[:1], recipe_of(name))
        assert made.images.std() > 20
        assert sampler.network.dtype == sampler.pipe.text_encoder.dtype == torch.bfloat16
        assert sampler.decoder.dtype == torch.float32
        assert sampler.weights_hash == hash_model(folders / name, torch.bfloat16)


def test_ways_of_running_have_hashes_of_their_own(folders: Path) -> None:
    folder = folders / "amused"
    plain, four, eight = (hash_model(folder, bits=bits) for bits in (None, 4, 8))
    assert plain == hash_files(folder) and len({plain, four, eight}) == 3


def test_flux_takes_the_guidance_that_its_network_knows(
    folders: Path, tmp_path: Path, samplers: dict[str, DiffusionSampler]
) -> None:
    schnell = samplers["flux-schnell"]
    with pytest.raises(InputError, match=r"guidance_scale=3\.5 does not apply to FLUX.1-schnell"):
        schnell.generate(PROMPTS[:1], SEEDS[:1], Recipe.from_text("steps=1 guidance_scale=3.5"))
    flux(guided=True).save_pretrained(tmp_path)
    dev = DiffusionSampler.from_folder(tmp_path)
    weak, strong = (
        dev.generate(PROMPTS[:1], SEEDS[:1], Recipe(steps=1, guidance_scale=scale))
        for scale in (1.5, 9.0)
    )
    assert not np.array_equal(weak.images, strong.images)
    assert list(strong.row_evaluations) == [1]  # the scale is an input, not a second row
    with pytest.raises(InputError, match=r"negative_prompt does not apply to FLUX\.1"):
        check_pipeline_recipe(tmp_path, Recipe.from_text(GUIDED))


def test_choices_of_token_models_are_refused(samplers: dict[str, DiffusionSampler]) -> None:
    with pytest.raises(InputError, match=r"noise=sin.* does not apply to diffusion models"):
        samplers["sdxl"].generate(PROMPTS, SEEDS, Recipe.from_text("steps=3 noise=sin"))
    with pytest.raises(InputError, match="3 prompts and 2 seeds"):
        samplers["sdxl"].generate(PROMPTS, SEEDS[:2], Recipe(steps=3))


@pytest.fixture
def copy(folders: Path, tmp_path: Path) -> Path:
    """The folder of aMUSEd's pipeline, to be spoilt."""
    return Path(shutil.copytree(folders / "amused", tmp_path / "copy"))


def weights(folder: Path) -> Path:
    return folder / "transformer/diffusion_pytorch_model.safetensors"


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(weights(folder))
    change(tensors)
    save_file(tensors, weights(folder), metadata={"format": "pt"})


KEY = "transformer_layers.0.attn1.to_q.weight"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: change_weights(f, lambda t: t.pop(KEY)), rf"{KEY}' is missing"),
        (
            lambda f: change_weights(f, lambda t: t.update({"more": torch.zeros(1)})),
            r"'more' is unexpected",
        ),
        (lambda f: change_weights(f, lambda t: t.update({KEY: t[KEY][:3].clone()})), KEY),
        (
            lambda f: change_weights(f, lambda t: t[KEY].fill_(torch.inf)),
            rf"{KEY}' holds infinities",
        ),
        (lambda f: weights(f).write_bytes(weights(f).read_bytes()[:-9]), r"transformer: cannot be"),
        (lambda f: weights(f).unlink(), r"transformer: cannot be read"),
        (lambda f: (f / "vqvae/config.json").unlink(), r"vqvae/config.json: cannot be read"),
        (lambda f: (f / "tokenizer/tokenizer.json").unlink(), r"tokenizer"),
        (lambda f: (f / INDEX).write_text("["), r"model_index.json: is not JSON"),
        (lambda f: (f / INDEX).unlink(), r"model_index.json: cannot be read"),
        (
            lambda f: change_json(f / INDEX, _class_name="StableDiffusionXLPipline"),
            r"did you mean 'StableDiffusionXLPipeline'",
        ),
        (
            lambda f: change_json(f / INDEX, transformer=["my_code", "Network"]),
            r"transformer must be UVit2DModel of diffusers, got \['my_code', 'Network'\]",
        ),
        (
            lambda f: change_json(f / INDEX, helper=["my_code", "Helper"]),
            r"helper is no part of a AmusedPipeline known here",
        ),
        (
            lambda f: change_json(f / INDEX, scheduler=["diffusers", "DDPMScheduler"]),
            r"scheduler must be AmusedScheduler",
        ),
        (
            lambda f: change_json(f / "scheduler/scheduler_config.json", stochastic_sampling=True),
            r"stochastic_sampling, which draws a batch at once",
        ),
    ],
)
def test_a_folder_that_is_not_right_is_refused_in_one_sentence(
    copy: Path, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(copy)
    with pytest.raises(InputError, match=told) as error:
        DiffusionSampler.from_folder(copy)
    assert "\n" not in str(error.value) and str(copy) in str(error.value)


def test_pickled_weights_are_never_read(copy: Path) -> None:
    torch.save(load_file(weights(copy)), weights(copy).with_suffix(".bin"))
    weights(copy).unlink()
    with pytest.raises(InputError, match="transformer: cannot be read"):
        DiffusionSampler.from_folder(copy)


def test_a_folder_says_whether_it_holds_a_pipeline(folders: Path, golden: Path) -> None:
    assert all(is_pipeline(folders / name) for name in NAMES)
    assert not is_pipeline(golden / "meissonic/ckpt_plain")  # whose index names code of its own
    assert not is_pipeline(folders)


def test_quantized_weights_are_refused_where_they_cannot_run(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="8 bits run on a GPU only, and this is a cpu"):
        DiffusionSampler.from_folder(copy, bits=8)
    with pytest.raises(InputError, match="bits must be 4 or 8, got 2"):
        DiffusionSampler.from_folder(copy, bits=2)
    there = {"diffusers": 1}
    monkeypatch.setattr(diffusion, "find_spec", there.get)
    with pytest.raises(InputError, match="4 bits need bitsandbytes, which is not installed: pip"):
        DiffusionSampler.from_folder(copy, bits=4, device="cuda", dtype=torch.bfloat16)
    there |= {"bitsandbytes": 1, "accelerate": 1}
    with pytest.raises(InputError, match="4 bits compute in bfloat16: set dtype: bfloat16"):
        DiffusionSampler.from_folder(copy, bits=4, device="cuda")


def test_without_diffusers_it_is_said_how_to_get_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed: pip install 'bakeoff\[baselines\]'"):
        DiffusionSampler.from_folder(copy)
