import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bakeoff.samplers.catalog import (
    MODELS,
    check_recipe,
    find_model,
    load_sampler,
    weights_hash,
)
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import hash_files
from bakeoff.samplers.recipe import Recipe

SHIPPED = [name for name, entry in MODELS.items() if entry.location]
CHECKPOINT = Path(__file__).parents[1] / "golden/meissonic/ckpt_plain"


def test_entries_are_complete_and_their_recipes_suit_them() -> None:
    for name, entry in MODELS.items():
        assert entry.name == name and entry.description and entry.licence and entry.resolution
        assert entry.recipe is not None
        entry.recipe.check_family(entry.family)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in SHIPPED])
def test_what_is_fetched_says_from_where_and_in_files_that_make_a_folder_of_its_architecture(
    name: str,
) -> None:
    entry = MODELS[name]
    assert entry.download_gb or entry.architecture.name == "MaskGIT"  # whose files nobody tells
    places = []
    for source in entry.sources:
        assert source.names and all(Path(one).is_relative_to(source.within) for one in source.names)
        places += [Path(source.into, Path(one).relative_to(source.within)) for one in source.names]
        if source.revision:
            assert re.fullmatch("[0-9a-f]{40}", source.revision)
        if source.is_on_hub:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.place)
    tops = {place.parts[0] for place in places}
    assert tops >= set(entry.architecture.parts) and len(set(places)) == len(places)


def test_the_documentation_names_every_place_that_weights_come_from() -> None:
    told = (Path(__file__).parents[2] / "docs/models.md").read_text()
    places = {source.place for entry in MODELS.values() for source in entry.sources}
    assert not [place for place in places if place not in told]


def test_folder_in_an_official_layout_becomes_a_sampler() -> None:
    entry = find_model(CHECKPOINT)
    assert (entry.name, entry.family, entry.recipe) == ("ckpt_plain", "masked", None)
    sampler = load_sampler(str(CHECKPOINT))
    assert (sampler.name, sampler.family) == ("ckpt_plain", "masked")
    assert sampler.weights_hash == weights_hash(CHECKPOINT)


def test_other_ways_to_run_have_other_hashes() -> None:
    ways = [("float32", False), ("bfloat16", False), ("float32", True), ("bfloat16", True)]
    hashes = [weights_hash(CHECKPOINT, dtype, compiled=compiled) for dtype, compiled in ways]
    assert len(set(hashes)) == 4 and hashes[0] == hash_files(CHECKPOINT)
    for (dtype, compiled), known in zip(ways, hashes, strict=True):
        sampler = load_sampler(CHECKPOINT, dtype=dtype, compiled=compiled)
        assert sampler.weights_hash == known


@pytest.mark.parametrize("name", SHIPPED)
def test_half_precision_reaches_every_family(name: str) -> None:
    sampler = load_sampler(name, dtype="bfloat16")
    assert sampler.weights_hash == weights_hash(name, "bfloat16")
    network = getattr(sampler, "transformer", None) or sampler.network  # type: ignore[attr-defined]
    assert next(network.parameters()).dtype == torch.bfloat16


def test_unknown_dtypes_are_refused() -> None:
    for refuse in (load_sampler, weights_hash):
        with pytest.raises(InputError, match=r"^dtype must be float32 or bfloat16, got 'half'$"):
            refuse("tiny-meissonic", dtype="half")


@pytest.mark.parametrize("choice", ["guidance_scale=2 guidance_interval=0..65", "argmax_from=64"])
def test_positions_beyond_the_tokens_of_a_model_are_refused_before_it_loads(choice: str) -> None:
    with pytest.raises(InputError, match="the model draws 64 tokens"):
        check_recipe("tiny-llamagen", Recipe.from_text(choice))
    with pytest.raises(InputError, match="does not apply to autoregressive models"):
        check_recipe("tiny-llamagen", Recipe.from_text("masking_temperature=1"))
    last = "guidance_scale=2 guidance_interval=0..64 argmax_from=63"
    check_recipe("tiny-llamagen", Recipe.from_text(last))
    check_recipe("tiny-meissonic", Recipe.from_text("steps=4"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tiny-meissonic", "steps=4 drawn_mask=suppress", "predicts codes alone, never the mask"),
        ("tiny-meissonic", "steps=4 differential=1", "1 percent of the 64 tokens"),
        (CHECKPOINT, "steps=4 differential=1e-4", r"0\.0001 percent of the \d+ tokens"),
        ("tiny-llamagen", "differential=1", "1 percent of the 63 tokens"),
        (
            "tiny-maskgit",
            'steps=4 guidance_scale=2 negative_prompt="blurry"',
            "^recipe negative_prompt 'blurry' names none of the model's classes; say a name",
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_it_loads(
    name: str | Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_recipe(name, Recipe.from_text(text))


@pytest.mark.parametrize("tokens", [0, -8, "8", True])
def test_a_wrong_number_of_tokens_is_refused_before_it_loads(tmp_path: Path, tokens: Any) -> None:
    for part, config in (("transformer", {"sample_size": tokens}), ("vqvae", {})):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"sample_size must be a whole .* from 1, got {tokens!r}$"):
        check_recipe(tmp_path, Recipe(steps=4))


def test_what_a_model_can_do_is_taken_before_it_loads() -> None:
    check_recipe("tiny-meissonic", Recipe.from_text("steps=4 differential=2"))
    check_recipe("tiny-maskgit", Recipe.from_text("steps=4 drawn_mask=remask"))
    guided = Recipe.from_text('steps=4 guidance_scale=2 negative_prompt="a red circle"')
    check_recipe("tiny-maskgit", guided)


def test_layout_tells_the_family(tmp_path: Path) -> None:
    for part in ("gpt", "vq"):
        (tmp_path / part).mkdir()
    assert find_model(tmp_path).family == "autoregressive"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_load_and_generate(name: str) -> None:
    entry = MODELS[name]
    sampler = load_sampler(name)
    recipe = Recipe(steps=2) if entry.family == "masked" else Recipe()
    made = sampler.generate(["a photo of a red circle"], [0], recipe)
    assert (sampler.name, sampler.family) == (name, entry.family)
    assert made.images.shape == (1, entry.resolution, entry.resolution, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny-meisonic", "did you mean 'tiny-meissonic'"),
        ("nothing", f"known: .* and {len(MODELS) - 12} more$"),
        ("./nowhere/at-all", "'nowhere/at-all' does not exist"),
        (str(CHECKPOINT.parent), "must hold .* or transformer/ and vqvae/ or gpt/ and vq/"),
    ],
)
def test_unknown_models_are_refused_in_one_sentence(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_sampler(name)
    assert "\n" not in str(caught.value)


def test_listing_models_does_not_wait_for_torch() -> None:
    code = "import sys, bakeoff.samplers.catalog; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
