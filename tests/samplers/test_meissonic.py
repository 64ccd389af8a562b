import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bakeoff.samplers.cost import network_calls, row_evaluations
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.meissonic import MeissonicSampler
from bakeoff.samplers.networks.vq import to_uint8
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.trace import StepRecord
from tests.samplers.masked_recipes import OF_CODES

SMALL = Path(__file__).parents[1] / "golden/meissonic"  # random weights, official layout
PLAIN, COMPRESSED = SMALL / "ckpt_plain", SMALL / "ckpt_compressed"
LOGITS_ATOL = 4e-4  # guided, at the scales of the golden runs
IMAGE_ATOL = 5e-5
PROMPTS = ["red cat", "an apple", "low resolution city at night", "worst case", "red cat"]
EVERYTHING = "steps=3 guidance_scale=3 noise=abs_cos(1) differential=75 zigzag=low_token_prob"


def official_recipe(run: dict[str, Any], positions: int, negative: str | None) -> Recipe:
    """Return the recipe that a golden run describes; its draws are the argmax."""
    choices: dict[str, Any] = {
        "preset": "official",
        "steps": run["num_inference_steps"],
        "guidance_scale": float(run["guidance_scale"]),
        "temperature": 0.0,
        "masking_temperature": tuple(float(t) for t in run["temperature"]),
    }
    if negative and run["guidance_scale"] > 1:
        choices["negative_prompt"] = negative
    if run["mode"] == "zigzag":
        choices["zigzag"] = {"rule": "masked", "guidance": float(run["inversion_cfg"])}
    if run["low_entropy"]:
        first, count = run["entropy_interval"]
        assert first == 0
        choices["differential"] = 100 * (count + 0.5) / positions
    return Recipe.from_dict(choices)


def by_negative(run: dict[str, Any]) -> Iterator[tuple[list[int], list[str], str | None]]:
    """Group the images of a golden run by their negative prompt: places, prompts, negative."""
    prompts = [run["prompt"]] if isinstance(run["prompt"], str) else run["prompt"]
    negatives = run["negative_prompt"]
    if not isinstance(negatives, list):
        negatives = [negatives] * len(prompts)
    for negative in dict.fromkeys(negatives):
        places = [i for i, other in enumerate(negatives) if other == negative]
        yield places, [prompts[i] for i in places], negative


@pytest.mark.golden_files(
    "meissonic/e2e_*_vanilla*", "meissonic/e2e_*_zigzag*", "meissonic/e2e_*_differential*"
)
def test_whole_run_goes_the_official_way_at_every_step(golden_file: Any) -> None:
    run, tensors = golden_file.description, golden_file.tensors
    sampler = MeissonicSampler.from_folder(
        golden_file.folder / run["checkpoint"], resolution=(run["height"], run["width"])
    )
    assert run["num_images_per_prompt"] == 1
    for places, prompts, negative in by_negative(run):
        recipe = official_recipe(run, tensors["out.tokens"][0].numel(), negative)
        records: list[StepRecord] = []
        made = sampler.generate(prompts, [0] * len(prompts), recipe, records.append)
        for record, event in zip(records, run["trace_kind_timestep_maskedcount"], strict=True):
            phase = {"fwd": "forward", "inv": "backtrack"}[event[0]]
            masked = [event[2][i] for i in places]
            seen = (record.phase, recipe.steps - 1 - record.step, record.masked.tolist())
            assert seen == (phase, event[1], masked)
        trace = torch.stack([record.tokens for record in records])
        assert trace.equal(tensors["trace.tokens"][:, places])
        assert torch.from_numpy(made.tokens).equal(tensors["out.tokens"][places])
        if "out.image" in tensors:
            with torch.inference_mode():
                image = sampler.decode(torch.from_numpy(made.tokens)).clip(0, 1)
            torch.testing.assert_close(
                image, tensors["out.image"][places].clip(0, 1), atol=IMAGE_ATOL, rtol=0
            )
            assert np.array_equal(made.images, to_uint8(image).numpy())


@pytest.mark.golden_files("meissonic/e2e_*")
def test_first_guided_prediction_is_the_official_one(golden_file: Any) -> None:
    run, tensors = golden_file.description, golden_file.tensors
    sampler = MeissonicSampler.from_folder(
        golden_file.folder / run["checkpoint"], resolution=(run["height"], run["width"])
    )
    expected = tensors["trace.first_guided_logits"].flatten(2).transpose(1, 2)  # [B, K, C]
    for places, prompts, negative in by_negative(run):
        recipe = official_recipe(run, expected.shape[1], negative)
        mask = sampler.transformer.config.mask_token_id
        start = torch.full((len(prompts), *sampler.grid), mask)
        with torch.inference_mode():
            predict = sampler.predictor(prompts, recipe)
            logits = predict(start, run["num_inference_steps"] - 1, recipe.guidance_scale)
        torch.testing.assert_close(logits, expected[places], atol=LOGITS_ATOL, rtol=0)


@pytest.fixture(scope="module")
def sampler() -> MeissonicSampler:
    return MeissonicSampler.from_folder(PLAIN, resolution=(64, 64))


def same_in_parts(sampler: MeissonicSampler, recipe: Recipe, count: int, sizes: set[int]) -> bool:
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


@pytest.mark.parametrize("text", [EVERYTHING, "steps=3 top_k=9"], ids=["everything", "unguided"])
def test_image_has_the_same_bits_in_every_batch(sampler: MeissonicSampler, text: str) -> None:
    assert same_in_parts(sampler, Recipe.from_text(text), 32, {1, 2, 3, 7})


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
@given(recipe=OF_CODES, seeds=st.lists(st.integers(0, 10**9), min_size=2, max_size=5))
def test_any_recipe_makes_the_same_image_in_any_batch_and_order(
    sampler: MeissonicSampler, recipe: Recipe, seeds: list[int]
) -> None:
    prompts = PROMPTS[: len(seeds)]
    made = sampler.generate(prompts, seeds, recipe)
    assert made.tokens.min() >= 0 and made.tokens.max() < 64
    assert set(made.row_evaluations) == {row_evaluations(recipe, recipe.steps)}
    assert set(made.network_calls) == {network_calls(recipe, recipe.steps)}
    for some in ([0], list(range(len(seeds)))[:0:-1]):
        part = sampler.generate([prompts[i] for i in some], [seeds[i] for i in some], recipe)
        assert np.array_equal(part.tokens, made.tokens[some])
        assert np.array_equal(part.images, made.images[some])


@pytest.mark.parametrize("folder", [PLAIN, COMPRESSED], ids=["plain", "compressed"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_prediction_has_the_same_bits_in_every_batch(folder: Path, scale: float) -> None:
    sampler = MeissonicSampler.from_folder(folder)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 80, (32, 8, 8), generator=generator)
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(32)]

    def predict(images: list[int]) -> Tensor:
        predictor = sampler.predictor([prompts[i] for i in images], Recipe(guidance_scale=3))
        return predictor(tokens[images], 5, scale)

    with torch.inference_mode():
        whole = predict(list(range(32)))
        for size in (1, 2, 3, 7):
            some = list(range(32))[: -size - 1 : -1]  # backwards: other neighbours, other places
            assert predict(some).equal(whole[some])


def test_tokens_have_the_same_bits_with_one_thread_or_two(sampler: MeissonicSampler) -> None:
    recipe, threads = Recipe.from_text("steps=2 guidance_scale=3"), torch.get_num_threads()
    made = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(sampler.generate(PROMPTS[:2], [0, 1], recipe).tokens)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(*made)


def test_half_precision_is_the_transformers_alone_and_keeps_bits_too() -> None:
    half = MeissonicSampler.from_folder(PLAIN, resolution=(64, 64), dtype=torch.bfloat16)
    dtypes = {part.dtype for part in half.transformer.parameters()}
    assert dtypes == {torch.bfloat16}
    assert next(half.tokenizer.parameters()).dtype == torch.float32
    assert same_in_parts(half, Recipe.from_text("steps=3 guidance_scale=3"), 8, {1, 3})


def test_seed_and_prompt_both_change_the_image(sampler: MeissonicSampler) -> None:
    recipe = Recipe.from_text("steps=4 guidance_scale=9")
    made = sampler.generate(["red cat", "red cat", "an apple"], [1, 2, 1], recipe).tokens
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_negative_prompt_changes_what_guidance_leads_away_from(sampler: MeissonicSampler) -> None:
    recipe = Recipe.from_text("steps=4 guidance_scale=9 temperature=0")
    negative = Recipe.from_text(f'{recipe} negative_prompt="low resolution"')
    plain, away = (sampler.generate(["red cat"], [1], r).tokens for r in (recipe, negative))
    assert not np.array_equal(plain, away)


def test_generation_has_shapes_costs_and_stages(sampler: MeissonicSampler) -> None:
    made = sampler.generate(PROMPTS[:3], [1, 2, 3], Recipe.from_text("steps=4 guidance_scale=3"))
    assert made.images.shape == (3, 64, 64, 3) and made.images.dtype == np.uint8
    assert made.tokens.shape == (3, 8, 8)
    assert made.tokens.min() >= 0 and made.tokens.max() < 64
    assert made.row_evaluations.tolist() == [8, 8, 8]
    assert made.network_calls.tolist() == [4, 4, 4]
    assert set(made.seconds) == {"text", "network", "draw", "decode"}
    assert min(made.seconds.values()) > 0


def test_stages_end_when_their_results_have_arrived(
    sampler: MeissonicSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    copy = Tensor.cpu
    monkeypatch.setattr(Stopwatch, "lap", lambda clock, stage: events.append(stage))
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: events.append("copy") or copy(tensor))
    sampler.generate(["red cat"], [0], Recipe(steps=2))
    steps = ["draw", "network"] * 2  # what comes before the first is next to nothing
    assert events == ["text", *steps, "copy", "draw", "copy", "decode"]


def test_each_distinct_prompt_is_encoded_once(
    sampler: MeissonicSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    encode = sampler.text_encoder.encode

    def listen(prompts: list[str]) -> tuple[Tensor, Tensor]:
        asked.extend(prompts)
        return encode(prompts)

    monkeypatch.setattr(sampler.text_encoder, "encode", listen)
    sampler.generate(PROMPTS, range(5), Recipe.from_text("steps=2 guidance_scale=3"))
    assert sorted(asked) == sorted({*PROMPTS, ""})


def test_recipe_or_batch_that_does_not_fit_is_refused(sampler: MeissonicSampler) -> None:
    with pytest.raises(InputError, match="steps is missing"):
        sampler.generate(["red cat"], [0], Recipe())
    with pytest.raises(InputError, match="2 prompts and 1 seeds"):
        sampler.generate(["a", "b"], [0], Recipe(steps=2))
    with pytest.raises(InputError, match="0 prompts and 0 seeds"):
        sampler.generate([], [], Recipe(steps=2))


@pytest.mark.parametrize("resolution", [(60, 64), (0, 64), (64, -8)])
def test_resolution_of_no_whole_tokens_is_refused(resolution: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="whole multiples of 8 pixels"):
        MeissonicSampler.from_folder(PLAIN, resolution=resolution)


def test_resolution_is_asked_of_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(PLAIN, folder)
    assert MeissonicSampler.from_folder(folder).grid == (64, 64)  # 512 pixels, as released
    assert MeissonicSampler.from_folder(COMPRESSED).height == 1024
    file = folder / "transformer/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sample_size": 8}))
    assert MeissonicSampler.from_folder(folder).grid == (8, 8)


def test_name_and_hash_tell_the_checkpoint(sampler: MeissonicSampler, tmp_path: Path) -> None:
    assert sampler.name == "ckpt_plain"
    folder = tmp_path / "other"
    shutil.copytree(PLAIN, folder)
    copied = MeissonicSampler.from_folder(folder, resolution=(64, 64))
    assert copied.weights_hash == sampler.weights_hash and len(copied.weights_hash) == 64
    assert copied.name == "other"
