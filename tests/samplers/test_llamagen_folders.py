"""Official files of LlamaGen, which bring no configuration, and what is said of wrong ones."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bakeoff.samplers.catalog import check_recipe, find_model
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.llamagen import LlamaGenSampler, load_tokenizer, load_transformer
from bakeoff.samplers.networks.checkpoint import load_weights
from bakeoff.samplers.networks.llamagen_sizes import image_tokens
from bakeoff.samplers.networks.t5_text import load_encoder
from bakeoff.samplers.recipe import Recipe
from tests.samplers.llamagen_folders import OFFICIAL, write_official
from tests.samplers.maskgit_folders import golden_weights

PROMPTS = {"c2i": ["goldfish", "7", "tench"], "t2i": ["a red ring", "A <b>red</b> Ring!", "a"]}
RECIPE = Recipe.from_text("guidance_scale=2 guidance_interval=0..9 top_k=20")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("official")
    return {kind: write_official(root / kind, kind) for kind in PROMPTS}


@pytest.fixture(scope="module")
def samplers(folders: dict[str, Path]) -> dict[str, LlamaGenSampler]:
    return {kind: LlamaGenSampler.from_folder(folder) for kind, folder in folders.items()}


@pytest.mark.parametrize("kind", PROMPTS)
def test_official_files_alone_make_images_that_depend_on_no_batch(
    folders: dict[str, Path], samplers: dict[str, LlamaGenSampler], kind: str
) -> None:
    sampler = samplers[kind]
    assert find_model(folders[kind]).family == sampler.family
    together = sampler.generate(PROMPTS[kind], [1, 2, 3], RECIPE)
    assert together.images.shape == (3, 64, 64, 3)
    for row, prompt in enumerate(PROMPTS[kind]):
        alone = sampler.generate([prompt], [row + 1], RECIPE)
        assert np.array_equal(alone.tokens[0], together.tokens[row])
        assert np.array_equal(alone.images[0], together.images[row])
    assert len(np.unique(together.images, axis=0)) == 3


def test_classes_and_captions_decide_what_is_drawn(samplers: dict[str, LlamaGenSampler]) -> None:
    for kind, prompts in PROMPTS.items():
        same = {"c2i": "a photo of a Goldfish", "t2i": " a RED  ring"}[kind]  # as it is understood
        tokens = samplers[kind].generate([prompts[0], prompts[2], same], [1, 1, 1], RECIPE).tokens
        assert np.array_equal(tokens[0], tokens[2])
        assert not np.array_equal(tokens[0], tokens[1])


def test_images_may_be_resized_as_for_evaluation(folders: dict[str, Path]) -> None:
    sampler = LlamaGenSampler.from_folder(folders["c2i"], resolution=(40, 40))
    assert sampler.generate(["1"], [1], RECIPE).images.shape == (1, 40, 40, 3)


@pytest.mark.parametrize("wrapper", ["module", "state_dict", None])
def test_weights_are_found_in_every_official_container(
    folders: dict[str, Path], tmp_path: Path, wrapper: str | None
) -> None:
    weights = load_weights(folders["c2i"] / "gpt")
    content = {wrapper: weights} if wrapper else weights | {"freqs_cis": torch.ones(1)}
    torch.save(content, tmp_path / "c2i_XXL_64.pt")
    config = load_transformer(tmp_path).config
    assert {key: getattr(config, key) for key in OFFICIAL} == OFFICIAL
    assert (config.model_type, config.num_classes, config.cls_token_num) == ("c2i", 1000, 1)


def test_a_recipe_is_held_against_the_length_that_the_name_tells(folders: dict[str, Path]) -> None:
    check_recipe(folders["c2i"], Recipe(argmax_from=15))
    with pytest.raises(InputError, match="must be below 16"):
        check_recipe(folders["c2i"], Recipe(argmax_from=16))


def test_a_configuration_goes_before_what_weights_and_name_tell(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "own.pt").symlink_to(folders["c2i"] / "gpt/c2i_B_64.pt")
    (tmp_path / "config.json").write_text(json.dumps({"n_head": 6, "block_size": 9}))
    config = load_transformer(tmp_path).config
    assert (config.n_head, config.block_size, config.dim) == (6, 9, 768)


NAMES = {"gpt": "c2i_B_64.safetensors", "vq": "vq_ds16_c2i.safetensors"}
LOADERS = {"gpt": load_transformer, "vq": load_tokenizer}
Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]
FFN, GATE = "layers.0.feed_forward.w2.weight", "layers.0.feed_forward.w1.weight"
CONV, CODES = "decoder.conv_out.bias", "quantize.embedding.weight"
WRONG: list[tuple[str, Change, str]] = [
    ("gpt", lambda w: without(w, FFN), f"'{FFN}' is missing"),
    ("gpt", lambda w: without(w, "tok_embeddings.weight"), "'tok_embeddings.weight' is missing"),
    ("gpt", lambda w: w | {"old": torch.ones(1)}, "'old' is unexpected"),
    ("gpt", lambda w: w | {GATE: w[GATE][1:]}, f"'{GATE}' has shape [2047, 768], but"),
    ("gpt", lambda w: w | {"norm.weight": torch.ones(7)}, "'norm.weight' has shape [7], but"),
    ("gpt", lambda w: w | {"norm.weight": w["norm.weight"] / 0}, "'norm.weight' holds infinities"),
    ("gpt", lambda w: w | {"tok_embeddings.weight": torch.ones(0, 4)}, "none of them 0"),
    ("gpt", lambda w: w | {"tok_embeddings.weight": torch.ones(9, 60)}, "is 60 wide"),
    ("gpt", lambda w: golden_weights("v1"), "'tok_embeddings.weight' is missing"),
    ("vq", lambda w: without(w, CONV), f"'{CONV}' is missing"),
    ("vq", lambda w: without(w, "encoder.conv_in.weight"), "'encoder.conv_in.weight' is missing"),
    ("vq", lambda w: w | {"loss": torch.ones(1)}, "'loss' is unexpected"),
    ("vq", lambda w: w | {CONV: torch.ones(4)}, f"'{CONV}' has shape [4], but"),
    ("vq", lambda w: w | {CODES: w[CODES] * torch.nan}, f"'{CODES}' holds infinities"),
    ("vq", lambda w: golden_weights("vqgan"), "is missing"),
]


def without(weights: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if name != key}


@pytest.mark.parametrize(("part", "change", "message"), WRONG, ids=[m for _, _, m in WRONG])
def test_wrong_weights_are_told_in_one_sentence(
    folders: dict[str, Path], tmp_path: Path, part: str, change: Change, message: str
) -> None:
    save_file(change(load_weights(folders["c2i"] / part)), tmp_path / NAMES[part])
    with pytest.raises(InputError) as caught:
        LOADERS[part](tmp_path)
    assert message in str(caught.value) and str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["gpt", "vq", "flan-t5-xl"])
@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_file_that_ends_too_early_is_named(
    folders: dict[str, Path], tmp_path: Path, part: str, kept: int
) -> None:
    folder = copytree(folders["t2i"] / part, tmp_path / part)
    file = next(f for f in folder.glob("*") if f.suffix in (".pt", ".safetensors"))
    content = file.read_bytes()[:kept]
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        (LOADERS | {"flan-t5-xl": load_encoder})[part](folder)
    assert file.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["own.pt", "c2i_B_100.pt", "c2i_B_38400.pt", "c2i_B_384"])
def test_a_name_that_tells_no_side_is_refused(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to(folders["c2i"] / "gpt/c2i_B_64.pt")
    with pytest.raises(InputError, match=rf"as in c2i_XL_384\.pt.*block_size.*found {name}$"):
        image_tokens(tmp_path)


def test_a_tokenizer_of_another_side_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copytree(folders["c2i"], tmp_path / "model")
    (folder / "gpt/c2i_B_64.pt").rename(folder / "gpt/c2i_B_256.pt")
    (folder / "gpt/config.json").write_text('{"block_size": 16}')
    with pytest.raises(InputError, match="named for images of 256 pixels, but vq makes 64"):
        LlamaGenSampler.from_folder(folder)


def test_a_text_encoder_of_another_width_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copytree(folders["t2i"], tmp_path / "model")
    weights = load_weights(folder / "gpt")
    states = torch.ones(8, 32)
    weights |= {"cls_embedding.uncond_embedding": states}
    weights |= {"cls_embedding.cap_proj.fc1.weight": torch.ones(768, 32)}
    (folder / "gpt/t2i_B_64.pt").unlink()
    save_file(weights, folder / "gpt/t2i_B_64.safetensors")
    with pytest.raises(InputError, match="gives 24 channels, but gpt's caption_dim is 32"):
        LlamaGenSampler.from_folder(folder)


def test_a_prompt_that_names_no_class_is_refused(samplers: dict[str, LlamaGenSampler]) -> None:
    with pytest.raises(InputError, match="none of the model's classes"):
        samplers["c2i"].generate(["a spaceship made of cheese"], [1], RECIPE)
