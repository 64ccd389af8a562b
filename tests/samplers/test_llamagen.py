import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.llamagen import LlamaGenSampler
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig
from bakeoff.samplers.recipe import Recipe

COLORS, SHAPES = ("red", "green", "blue"), ("circle", "square", "ring")
PROMPTS = [f"a {color} {shape}" for color in COLORS for shape in SHAPES]
RECIPES = [
    "guidance_scale=3",
    "guidance_scale=2 noise=abs_cos differential=75 top_k=30 top_p=0.9",
    "guidance_scale=2 guidance_interval=2..15 jacobi=4",
]


def write_part(folder: Path, module: nn.Module, config: dict) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    weights = {name: weight.half().contiguous() for name, weight in module.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def write_tokenizer(folder: Path) -> None:
    words = ["<pad>", "</s>", "<unk>", "a", *COLORS, *SHAPES]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def write_checkpoint(folder: Path, **settings: object) -> Path:
    torch.manual_seed(0)
    sizes = {"dim": 48, "n_layer": 2, "n_head": 4, "vocab_size": 61, "block_size": 25}
    sizes |= {"cls_token_num": 6, "model_type": "t2i", "caption_dim": 24}
    gpt = LlamaGenConfig.from_dict(sizes | settings)
    multipliers = [1, 1, 2]
    vq = {"codebook_size": 61, "ch": 32, "z_channels": 16}
    vq |= {"encoder_ch_mult": multipliers, "decoder_ch_mult": multipliers}
    t5 = T5Config(
        vocab_size=10, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    network = LlamaGenTransformer(gpt)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    folder.mkdir(exist_ok=True)
    write_part(folder / "gpt", network, asdict(gpt))
    write_part(folder / "vq", LlamaGenVQ(LlamaGenVQConfig.from_dict(vq)), vq)
    T5EncoderModel(t5).half().save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    return folder


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
        ({"model_type": "c2i"}, "prompts"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LlamaGenSampler.from_folder(write_checkpoint(tmp_path / "model", **settings))


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gpt"):
        LlamaGenSampler.from_folder(tmp_path)
