"""CLIPScore on a small random CLIP model, against transformers' own path and in any batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from bakeoff.evaluators.clip_encoder import ClipEncoder
from bakeoff.evaluators.clip_score import ClipScore

WORDS = ["a", "red", "circle", "blue", "square", "of"]
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
PROMPTS = ["a red circle", "a blue square of a red circle", "a", "a red circle"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a random CLIP model of 48 pixels with a tokenizer of six words."""
    path = tmp_path_factory.mktemp("clip")
    letters = sorted(set("".join(WORDS)))
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(path)
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": 40, "num_attention_heads": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    vision = {"image_size": 48, "patch_size": 8, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config={**TOWER, **text, **ends},
            vision_config={**TOWER, **vision},
            projection_dim=16,
        )
    )
    for parameter in model.parameters():  # weights of order one, so that pictures differ
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def pictures(count: int, height: int = 48, width: int = 48) -> np.ndarray:
    shape = (count, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)


def test_score_equals_transformers_logits_without_the_scale(folder: Path) -> None:
    model, tokenizer = CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    images = pictures(4)
    pixels = ((torch.from_numpy(images) / 255.0 - mean) / std).permute(0, 3, 1, 2)
    tokens = tokenizer(PROMPTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens, pixel_values=pixels)
    expected = (output.logits_per_image / model.logit_scale.exp()).diagonal().detach().numpy()
    found = ClipScore(folder).score(images, PROMPTS, [None] * 4)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.ptp(found) > 0.01


@pytest.mark.parametrize("batch", [1, 2, 7, 16])
def test_score_is_bitwise_the_same_in_any_batch(folder: Path, batch: int) -> None:
    images, prompts = pictures(19), [PROMPTS[i % 4] for i in range(19)]
    whole = ClipScore(folder).score(images, prompts, [None] * 19)
    parts = [
        ClipScore(folder).score(images[i : i + batch], prompts[i : i + batch], [None] * 19)
        for i in range(0, 19, batch)
    ]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_a_prompt_encoded_alone_equals_one_encoded_among_others(folder: Path) -> None:
    alone = ClipEncoder(folder).texts(["a red circle"])
    others = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS if b != "red"]
    among = ClipEncoder(folder).texts([*others[:13], "a red circle", *others[13:20]])
    assert among[13].tobytes() == alone[0].tobytes()


def test_pictures_of_another_size_are_resized_and_cropped(folder: Path) -> None:
    encoder = ClipEncoder(folder)
    wide = np.zeros((1, 96, 160, 3), dtype=np.uint8)
    wide[:, :, 32:128] = 200  # the centre that the crop keeps; bicubic blends only its border
    plain = np.full((1, 48, 48, 3), 200, dtype=np.uint8)
    found, expected = encoder.images(wide)[0], encoder.images(plain)[0]
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.99


def test_the_folders_own_normalisation_is_used(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    images = pictures(1)
    assert not np.allclose(ClipEncoder(tmp_path).images(images), ClipEncoder(folder).images(images))
    assert "mean (0.5, 0.5, 0.5)" in ClipScore(tmp_path).info.preprocessing


def test_a_prompt_beyond_the_context_is_cut_not_refused(folder: Path) -> None:
    scores = ClipScore(folder).score(pictures(1), ["a red circle " * 50], [None])
    assert -1 <= scores[0] <= 1


def test_an_empty_prompt_list_gives_no_scores(folder: Path) -> None:
    assert ClipScore(folder).score(pictures(0), [], []).shape == (0,)


def test_other_weights_are_another_version(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = CLIPModel.from_pretrained(tmp_path)
    torch.nn.init.zeros_(model.visual_projection.weight)
    model.save_pretrained(tmp_path)
    assert ClipScore(tmp_path).info.version != ClipScore(folder).info.version


def test_a_folder_without_a_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no config\.json"):
        ClipScore(tmp_path)
