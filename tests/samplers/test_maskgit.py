import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bakeoff.samplers.cost import network_calls, row_evaluations
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.maskgit import MaskGITSampler, check_recipe
from bakeoff.samplers.maskgit_recipes import PUBLISHED
from bakeoff.samplers.networks.checkpoint import load_weights
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.trace import StepRecord
from tests.samplers.masked_recipes import OF_CODES, RECIPES
from tests.samplers.maskgit_folders import (
    CLASSES,
    CODES,
    FORMS,
    GRIDS,
    golden_weights,
    write_flax,
    write_folder,
    write_lightning,
    write_training_state,
)

NAMES = ["hen", "cock", "crane", "kite", "crane", "owl", "jay", "tern", "auk", "rail"]
PROMPTS = ["a hen", "7", "a photo of an Owl", "crane (4)", "hen"]
FACTORS = {"v1": 4, "halton": 2, "jax": 4}
EVERYTHING = "steps=3 noise=abs_cos(1) differential=75 zigzag=low_token_prob"
GUIDED = {"v1": "guidance_scale=3", "halton": "guidance_scale=3", "jax": ""}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("maskgit")
    return {form: write_folder(root / form, form, classes=NAMES) for form in FORMS}


@pytest.fixture(scope="module")
def samplers(folders: dict[str, Path]) -> dict[str, MaskGITSampler]:
    return {form: MaskGITSampler.from_folder(folder) for form, folder in folders.items()}


@pytest.mark.parametrize("form", FORMS)
def test_official_files_make_images_at_a_cost(
    samplers: dict[str, MaskGITSampler], form: str
) -> None:
    sampler = samplers[form]
    recipe = Recipe.from_text(f"steps=4 {GUIDED[form]}")
    made = sampler.generate(PROMPTS[:3], [1, 2, 3], recipe)
    side = GRIDS[form] * FACTORS[form]
    assert made.images.shape == (3, side, side, 3) and made.images.dtype == np.uint8
    assert len(np.unique(made.images, axis=0)) == 3 and made.images.std() > 1
    assert made.tokens.shape == (3, GRIDS[form], GRIDS[form])
    assert made.tokens.min() >= 0 and made.tokens.max() < CODES[form]
    assert made.row_evaluations.tolist() == [row_evaluations(recipe, 4)] * 3
    assert made.network_calls.tolist() == [4] * 3
    assert set(made.seconds) == {"text", "network", "draw", "decode"}
    assert (sampler.name, sampler.family) == (form, "masked") and len(sampler.weights_hash) == 64


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_run_on_their_form(
    samplers: dict[str, MaskGITSampler], name: str
) -> None:
    recipe = Recipe.from_text(PUBLISHED[name])
    made = samplers[name.split("-")[0]].generate(["hen"], [0], recipe)
    assert made.row_evaluations.tolist() == [row_evaluations(recipe, recipe.steps)]
    assert Recipe.from_text(str(recipe)) == recipe


def test_prompts_name_classes(samplers: dict[str, MaskGITSampler]) -> None:
    recipe, sampler = Recipe.from_text("steps=4 guidance_scale=4"), samplers["v1"]
    same = ["hen", "0", "a photo of a HEN"]
    tokens = sampler.generate([*same, "owl"], [1, 1, 1, 1], recipe).tokens
    assert all(np.array_equal(tokens[0], other) for other in tokens[1:3])
    assert not np.array_equal(tokens[0], tokens[3])
    with pytest.raises(InputError, match=r"several classes: say 'crane \(2\)' or 'crane \(4\)'"):
        sampler.generate(["crane"], [0], recipe)
    with pytest.raises(InputError, match="did you mean 'kite'"):
        sampler.generate(["hen", "kit"], [0, 1], recipe)


def test_guidance_leads_away_from_no_class_or_from_a_named_one(
    samplers: dict[str, MaskGITSampler],
) -> None:
    for form in ("v1", "halton"):
        text = "steps=4 guidance_scale=9 temperature=0"
        recipes = [text, f'{text} negative_prompt="owl"', f'{text} negative_prompt="hen"']
        plain, away, none = (
            samplers[form].generate(["hen"], [1], Recipe.from_text(recipe)).tokens
            for recipe in recipes
        )
        assert not np.array_equal(plain, away)
        unguided = samplers[form].generate(["hen"], [1], Recipe.from_text("steps=4 temperature=0"))
        assert np.array_equal(none, unguided.tokens)  # away from itself it leads nowhere
    with pytest.raises(InputError, match="names none of the model's classes"):
        samplers["v1"].generate(["hen"], [1], Recipe.from_text(recipes[1].replace("owl", "blur")))


def test_original_is_guided_by_a_negative_class_alone(
    folders: dict[str, Path], samplers: dict[str, MaskGITSampler]
) -> None:
    guided = Recipe.from_text("steps=4 guidance_scale=4 temperature=0")
    away = Recipe.from_text(f'{guided} negative_prompt="owl"')
    plain = samplers["jax"].generate(["hen"], [1], Recipe.from_text("steps=4 temperature=0"))
    assert not np.array_equal(samplers["jax"].generate(["hen"], [1], away).tokens, plain.tokens)
    inverted = Recipe.from_text("steps=4 zigzag=low_token_prob")  # whose inversion asks it
    for recipe in (guided, inverted):
        with pytest.raises(InputError, match="guidance needs a negative_prompt that names a class"):
            samplers["jax"].generate(["hen"], [1], recipe)
        with pytest.raises(InputError, match="guidance needs a negative_prompt"):
            check_recipe(folders["jax"], recipe)
        check_recipe(folders["v1"], recipe)
    check_recipe(folders["jax"], away)


def test_what_becomes_of_a_drawn_mask_is_chosen(
    folders: dict[str, Path], samplers: dict[str, MaskGITSampler]
) -> None:
    drawn: dict[str, list[int]] = {}
    for choice in ("keep", "suppress", "remask"):
        records: list[StepRecord] = []
        recipe = Recipe.from_text(f"steps=6 temperature=9 drawn_mask={choice}")
        made = samplers["v1"].generate(["hen"] * 16, range(16), recipe, records.append)
        assert made.tokens.max() < CODES["v1"]
        last = records[-1].tokens
        drawn[choice] = [int((last == CODES["v1"] + extra).sum()) for extra in (0, 1)]
    assert drawn["keep"][0] > 0 and drawn["keep"][1] == 0
    assert drawn["suppress"] == [0, 0]
    assert drawn["remask"][0] == 0 and drawn["remask"][1] > 0
    recipe = Recipe.from_text("steps=6 drawn_mask=suppress")
    with pytest.raises(InputError, match="drawn_mask=suppress has no effect"):
        samplers["jax"].generate(["hen"], [0], recipe)
    with pytest.raises(InputError, match="drawn_mask=suppress has no effect"):
        check_recipe(folders["jax"], recipe)


def test_negative_prompts_are_checked_by_the_names_that_need_no_weights(tmp_path: Path) -> None:
    guided = "steps=4 guidance_scale=4"
    for known in ("tench", "9999"):  # how many numbers there are the weights tell
        check_recipe(tmp_path, Recipe.from_text(f'{guided} negative_prompt="{known}"'))
    with pytest.raises(InputError, match=r"^recipe negative_prompt 'blurry' names none"):
        check_recipe(tmp_path, Recipe.from_text(f'{guided} negative_prompt="blurry"'))
    (tmp_path / "classes.json").write_text('["hen", "owl"]')
    check_recipe(tmp_path, Recipe.from_text(f'{guided} negative_prompt="a hen"'))
    for unknown in ("tench", "2"):
        with pytest.raises(InputError, match=rf"^recipe negative_prompt '{unknown}' names none"):
            check_recipe(tmp_path, Recipe.from_text(f'{guided} negative_prompt="{unknown}"'))


def test_trace_shows_the_order_of_halton(samplers: dict[str, MaskGITSampler]) -> None:
    records: list[StepRecord] = []
    recipe = Recipe.from_text("steps=6 schedule=linear order=halton")
    samplers["halton"].generate(["hen", "owl"], [0, 1], recipe, records.append)
    unknown = records[0].tokens == samplers["halton"].transformer.unknown
    first = load_file(Path(__file__).parents[1] / "golden/maskgit/halton.safetensors")["order.6"]
    expected = torch.ones(6, 6, dtype=torch.bool)
    expected[tuple(first[:6].long().T)] = False
    assert all(image.equal(expected) for image in unknown)


def same_in_parts(sampler: MaskGITSampler, recipe: Recipe, count: int, sizes: set[int]) -> bool:
    """Whether each of `count` images has the same bits in batches of other sizes."""
    prompts, seeds = [PROMPTS[i % len(PROMPTS)] for i in range(count)], list(range(count))
    whole = sampler.generate(prompts, seeds, recipe)
    same = []
    for size in sizes:
        some = list(range(count))[: -size - 1 : -1]  # backwards: other neighbours, other places
        part = sampler.generate([prompts[i] for i in some], [seeds[i] for i in some], recipe)
        same.append(np.array_equal(part.tokens, whole.tokens[some]))
        same.append(np.array_equal(part.images, whole.images[some]))
    return all(same)


@pytest.mark.parametrize("form", FORMS)
def test_image_has_the_same_bits_in_every_batch(
    samplers: dict[str, MaskGITSampler], form: str
) -> None:
    text = f"{EVERYTHING} {GUIDED[form]}" if GUIDED[form] else "steps=3 noise=abs_cos top_k=9"
    assert same_in_parts(samplers[form], Recipe.from_text(text), 32, {1, 2, 3, 7})


@pytest.mark.parametrize("form", FORMS)
def test_any_recipe_makes_the_same_image_in_any_batch_and_order(
    samplers: dict[str, MaskGITSampler], form: str
) -> None:
    sampler = samplers[form]

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
    @given(
        recipe=OF_CODES if form == "jax" else RECIPES,
        seeds=st.lists(st.integers(0, 10**9), min_size=2, max_size=5),
    )
    def check(recipe: Recipe, seeds: list[int]) -> None:
        if form == "jax" and recipe.uses_unconditional:
            recipe = recipe.model_copy(update={"negative_prompt": "kite"})
        prompts = PROMPTS[: len(seeds)]
        made = sampler.generate(prompts, seeds, recipe)
        assert made.tokens.min() >= 0 and made.tokens.max() < CODES[form]
        assert set(made.row_evaluations) == {row_evaluations(recipe, recipe.steps)}
        assert set(made.network_calls) == {network_calls(recipe, recipe.steps)}
        for some in ([0], list(range(len(seeds)))[:0:-1]):
            part = sampler.generate([prompts[i] for i in some], [seeds[i] for i in some], recipe)
            assert np.array_equal(part.tokens, made.tokens[some])
            assert np.array_equal(part.images, made.images[some])

    check()


@pytest.mark.parametrize("form", FORMS)
def test_looking_does_not_change_the_image(samplers: dict[str, MaskGITSampler], form: str) -> None:
    recipe, records = Recipe.from_text(f"steps=5 {GUIDED[form]}"), list[StepRecord]()
    seen = samplers[form].generate(PROMPTS, range(5), recipe, records.append)
    assert np.array_equal(seen.tokens, samplers[form].generate(PROMPTS, range(5), recipe).tokens)
    assert len(records) == 5 and int(records[-1].masked.sum()) == 0


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_the_transformers_alone_and_keeps_bits_too(
    folders: dict[str, Path], samplers: dict[str, MaskGITSampler], form: str
) -> None:
    half = MaskGITSampler.from_folder(folders[form], dtype=torch.bfloat16)
    assert {part.dtype for part in half.transformer.parameters()} == {torch.bfloat16}
    assert next(half.tokenizer.parameters()).dtype == torch.float32
    assert half.weights_hash != samplers[form].weights_hash
    assert same_in_parts(half, Recipe.from_text(f"steps=3 {GUIDED[form]}"), 8, {1, 3})


@pytest.mark.parametrize("form", FORMS)
def test_compiled_blocks_predict_the_same(
    folders: dict[str, Path],
    samplers: dict[str, MaskGITSampler],
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[object] = []
    compile_as_given = torch.compile

    def eager(function: Callable, **options: object) -> Callable:
        seen.append(options)
        return compile_as_given(function, backend="eager", fullgraph=True, dynamic=False)

    monkeypatch.setattr(torch, "compile", eager)
    compiled = MaskGITSampler.from_folder(folders[form], compiled=True)
    recipe = Recipe.from_text(f"steps=2 {GUIDED[form]}")
    found, plain = (s.generate(["hen"], [1], recipe) for s in (compiled, samplers[form]))
    assert seen == [{"dynamic": False}] and np.array_equal(found.tokens, plain.tokens)
    assert compiled.weights_hash != samplers[form].weights_hash


def test_resolution_is_the_networks(folders: dict[str, Path]) -> None:
    assert MaskGITSampler.from_folder(folders["v1"], resolution=(24, 24)).grid == 6
    with pytest.raises(InputError, match="resolution 32x24 must be 24x24: v1 knows no other"):
        MaskGITSampler.from_folder(folders["v1"], resolution=(32, 24))


def test_recipe_or_batch_that_does_not_fit_is_refused(samplers: dict[str, MaskGITSampler]) -> None:
    with pytest.raises(InputError, match="steps is missing"):
        samplers["v1"].generate(["hen"], [0], Recipe())
    with pytest.raises(InputError, match="2 prompts and 1 seeds"):
        samplers["v1"].generate(["hen", "owl"], [0], Recipe(steps=2))


def test_safetensors_and_wrapped_weights_are_the_same_model(
    folders: dict[str, Path], samplers: dict[str, MaskGITSampler], tmp_path: Path
) -> None:
    recipe = Recipe.from_text("steps=3 guidance_scale=2")
    for form in ("v1", "halton"):
        folder = tmp_path / form
        shutil.copytree(folders[form], folder)
        file = next((folder / "MaskGIT").glob("*.pth"))
        weights = load_weights(file)
        file.unlink()
        wrapped = {f"_orig_mod.module.{key}": tensor for key, tensor in weights.items()}
        made = samplers[form].generate(PROMPTS, range(5), recipe).tokens
        for name, tensors in (("model.safetensors", weights), ("again.pth", wrapped)):
            kept = {key: tensor.clone() for key, tensor in tensors.items()}
            if name.endswith("pth"):
                write_training_state(folder / "MaskGIT" / name, kept)
            else:
                save_file(kept, folder / "MaskGIT" / name)
            again = MaskGITSampler.from_folder(folder).generate(PROMPTS, range(5), recipe)
            assert np.array_equal(again.tokens, made)
            (folder / "MaskGIT" / name).unlink()


def transformer_file(folder: Path) -> Path:
    return next(f for f in (folder / "MaskGIT").iterdir() if f.name != "config.json")


def tokenizer_file(folder: Path) -> Path:
    return next((folder / "VQGAN").iterdir())


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size * 2 // 3)


def change_transformer(folder: Path, form: str, key: str, tensor: torch.Tensor | None) -> None:
    weights = golden_weights("jax_transformer" if form == "jax" else form) | {key: tensor}
    kept = {k: t for k, t in weights.items() if t is not None}
    write = write_flax if form == "jax" else write_training_state
    write(transformer_file(folder), kept)


BIAS = {
    "v1": "last_layer.4.bias",
    "halton": "head.bias",
    "jax": "MlmLayer_0/mlm_bias/bias",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (None, "is missing"),
        (torch.ones(3), "has shape [3], but its configuration asks for ["),
        (torch.tensor([torch.inf]), "has shape [1], but"),
    ],
)
def test_wrong_weights_are_named(
    folders: dict[str, Path], tmp_path: Path, form: str, tensor: torch.Tensor | None, message: str
) -> None:
    folder = tmp_path / form
    shutil.copytree(folders[form], folder)
    change_transformer(folder, form, BIAS[form], tensor)
    check_refused(folder, f"the weight '{BIAS[form].replace('/', '.')}' {message}")


@pytest.mark.parametrize("form", FORMS)
def test_infinities_and_weights_too_many_are_named(
    folders: dict[str, Path], tmp_path: Path, form: str
) -> None:
    folder = tmp_path / form
    shutil.copytree(folders[form], folder)
    name = "jax_transformer" if form == "jax" else form
    values = golden_weights(name)[BIAS[form]] / 0
    change_transformer(folder, form, BIAS[form], values)
    check_refused(folder, f"'{BIAS[form].replace('/', '.')}' holds infinities or no numbers")
    change_transformer(folder, form, "extra", torch.ones(2))
    check_refused(folder, "the weight 'extra' is unexpected")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", [transformer_file, tokenizer_file])
def test_file_that_ends_too_early_is_named(
    folders: dict[str, Path], tmp_path: Path, form: str, which: Callable[[Path], Path]
) -> None:
    folder = tmp_path / form
    shutil.copytree(folders[form], folder)
    cut_short(which(folder))
    check_refused(folder, f"{which(folder)}: cannot be read as weights", of=which(folder))


@pytest.mark.parametrize("form", FORMS)
def test_files_of_another_architecture_are_named(
    folders: dict[str, Path], tmp_path: Path, form: str
) -> None:
    folder = tmp_path / form
    shutil.copytree(folders[form], folder)
    other = "halton" if form == "v1" else "v1"
    for part in ("MaskGIT", "VQGAN"):
        shutil.rmtree(folder / part)
        shutil.copytree(folders[other] / part, folder / part)
        # one half is of this form and the other of that, until both are
        if part == "MaskGIT":
            check_refused(folder, "is missing")
    MaskGITSampler.from_folder(folder)
    shutil.rmtree(folder / "MaskGIT")
    shutil.copytree(folders["v1"] / "VQGAN", folder / "MaskGIT")
    check_refused(folder, "is no MaskGIT: no weight ends in 'fn.mha.in_proj_weight'")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{}", 'say its number of heads in a config.json beside the weights, as {"heads": 8}'),
        ('{"heads": 5}', "48 channels do not divide into 5 heads"),
        ('{"heads": "4"}', "heads must be a whole number from 1, got '4'"),
        ('{"heads": 0}', "heads must be a whole number from 1, got 0"),
        ('{"heads": 4', "is not JSON"),
    ],
)
def test_wrong_configuration_is_told(
    folders: dict[str, Path], tmp_path: Path, config: str, message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["v1"], folder)
    (folder / "MaskGIT/config.json").write_text(config)
    check_refused(folder, message)


def test_missing_parts_and_classes_that_do_not_fit_are_told(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["v1"], folder)
    (folder / "classes.json").write_text('["hen"]')
    check_refused(folder, "must name 10 classes as the model has, got 1")
    (folder / "classes.json").unlink()
    assert MaskGITSampler.from_folder(folder).classes.labels == tuple(map(str, range(CLASSES)))
    tokenizer_file(folder).unlink()
    check_refused(folder, "expected one file of weights, found none")


def test_a_tokenizer_that_names_other_classes_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["v1"], folder)
    file = tokenizer_file(folder)
    write_lightning(file, golden_weights("vqgan"))
    content = file.read_bytes().replace(b"ModelCheckpoint", b"ModelCheckpoinX")
    file.write_bytes(content)
    check_refused(folder, "ModelCheckpoinX', which is no tensor", of=file)


def check_refused(folder: Path, message: str, of: Path | None = None) -> None:
    """Check that a folder is refused in one sentence that begins with what is wrong."""
    with pytest.raises(InputError) as caught:
        MaskGITSampler.from_folder(folder)
    said = str(caught.value)
    assert message in said and "\n" not in said and len(said) < 500
    assert said.startswith(str(of or folder))
