import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks import maskgit_halton, maskgit_jax, maskgit_v1
from bakeoff.samplers.networks.checkpoint import load_state
from bakeoff.samplers.networks.flax_names import from_flax
from bakeoff.samplers.networks.maskgit_halton import MaskGITHalton
from bakeoff.samplers.networks.maskgit_jax import MaskGITJax
from bakeoff.samplers.networks.maskgit_sizes import MaskGITConfig
from bakeoff.samplers.networks.maskgit_v1 import MaskGITv1
from tests.samplers.maskgit_folders import CODES, FORMS, HEADS, golden_weights

V1 = pytest.mark.golden_files("maskgit/v1")
HALTON = pytest.mark.golden_files("maskgit/halton")
JAX = pytest.mark.golden_files("maskgit/jax")
KEYS = json.loads((Path(__file__).parent / "maskgit_keys.json").read_text())
RELEASED = [name for name in KEYS if "transformer" in name]
ACTIVATIONS_ATOL = 2e-4

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture
def without_gradients() -> Any:
    with torch.inference_mode():
        yield


def tolerance(golden_file: Any, name: str) -> dict[str, float]:
    words = golden_file.description["tolerance"][name].split()
    return {"rtol": 0.0} | {k: float(v) for k, v in zip(words[::2], words[1::2], strict=True)}


def golden_network(form: str, weights: dict[str, Tensor], codes: int, heads: int) -> nn.Module:
    if form == "jax":
        config = maskgit_jax.read_sizes(weights, form, codebook_size=codes)
        network: nn.Module = MaskGITJax(config)
        weights = from_flax(weights)
    elif form == "v1":
        config = maskgit_v1.read_sizes(weights, form, codebook_size=codes, heads=heads)
        network = MaskGITv1(config)
    else:
        config = maskgit_halton.read_sizes(weights, form, codebook_size=codes, heads=heads)
        network = MaskGITHalton(config)
    load_state(network, weights, source=form)
    return network.eval()


def official(golden_file: Any) -> nn.Module:
    form, described = golden_file.path.stem, golden_file.description
    if form == "jax":
        weights = golden_weights("jax_transformer", golden_file.folder)
        return golden_network(form, weights, described["transformer"]["codebook_size"], 0)
    config = described["config"]
    weights = golden_weights(form, golden_file.folder)
    return golden_network(form, weights, config["codebook_size"], config["heads"])


def small(form: str) -> nn.Module:
    name = "jax_transformer" if form == "jax" else form
    return golden_network(form, golden_weights(name), CODES[form], HEADS)


@V1
def test_logits_of_version_1_are_the_official_ones(golden_file: Any) -> None:
    network, tensors = official(golden_file), golden_file.tensors
    limits = tolerance(golden_file, "logits")
    codes, labels, dropped = tensors["codes"], tensors["labels"], network.config.dropped
    mixed = torch.where(tensors["drop_mix"], dropped, labels)
    conditions = {"cond": labels, "uncond": torch.full_like(labels, dropped), "mixed": mixed}
    logits = {name: network(codes, given) for name, given in conditions.items()}
    for name, found in logits.items():
        torch.testing.assert_close(found, tensors[f"logits.{name}"], **limits)
    guided = 3.8 * logits["cond"] - 2.8 * logits["uncond"]
    torch.testing.assert_close(guided, tensors["cfg.logits_w2p8"], **limits)


@V1
def test_activations_of_version_1_are_the_official_ones(golden_file: Any) -> None:
    network, tensors = official(golden_file), golden_file.tensors
    seen: dict[str, Tensor] = {}
    network.first_layer.register_forward_hook(lambda _, x, y: seen.update({"first_layer.out": y}))
    mixing = network.transformer["layers"][0][0].fn.mha
    mixing.register_forward_hook(lambda _, x, y: seen.update({"mixed": x[0]}))
    seen["embed"] = network.embed(tensors["codes"], tensors["labels"])
    seen["transformer.out"] = network.backbone(seen["embed"])
    for name in ("embed", "first_layer.out", "transformer.out"):
        torch.testing.assert_close(seen[name], tensors[name], atol=ACTIVATIONS_ATOL, rtol=0)
    qkv = F.linear(seen["mixed"], mixing.in_proj_weight, mixing.in_proj_bias)
    q, k = qkv.unflatten(-1, (3, mixing.heads, -1)).permute(2, 0, 3, 1, 4)[:2]
    attended = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1)
    torch.testing.assert_close(attended, tensors["attn.layer0"], **tolerance(golden_file, "attn"))


@HALTON
def test_logits_of_version_2_are_the_official_ones(golden_file: Any) -> None:
    network, tensors = official(golden_file), golden_file.tensors
    limits = tolerance(golden_file, "logits")
    dropped = torch.full_like(tensors["labels"], network.config.dropped)
    for name, labels in (("cond", tensors["labels"]), ("uncond", dropped)):
        logits = network(tensors["codes"], labels)
        torch.testing.assert_close(logits, tensors[f"logits.{name}"], **limits)


@HALTON
def test_first_block_of_version_2_is_the_official_one(golden_file: Any) -> None:
    network, tensors = official(golden_file), golden_file.tensors
    sequence, vector = network.embed(tensors["codes"]), network.cls_emb(tensors["labels"])
    block = network.transformer["layers"][0](sequence, vector)
    found = {"in": sequence, "cond": vector, "out": block}
    for name, tensor in found.items():
        expected = tensors[f"block0.{name}"]
        torch.testing.assert_close(tensor, expected, atol=ACTIVATIONS_ATOL, rtol=0)


@JAX
def test_logits_of_the_original_are_the_official_ones(golden_file: Any) -> None:
    network, tensors = official(golden_file), golden_file.tensors
    grid, codes = network.config.grid, network.config.codebook_size
    ids = tensors["input_ids"].long()[:, 1:]
    tokens = torch.where(ids < 0, network.unknown, ids).unflatten(1, (grid, grid))
    expected = tensors["logits"][:, 1:, :codes]
    logits = network(tokens, tensors["labels"])
    torch.testing.assert_close(logits, expected, **tolerance(golden_file, "logits"))


@V1
@HALTON
def test_sizes_are_read_off_the_shapes(golden_file: Any) -> None:
    described, config = golden_file.description["config"], official(golden_file).config
    grid = described.get("input_size") or described["f_factor"]
    hidden = golden_file.description.get("ffn_hidden") or described["mlp_dim"]
    assert config == MaskGITConfig(
        dim=described["hidden_dim"],
        depth=described["depth"],
        heads=described["heads"],
        head_dim=described["hidden_dim"] // described["heads"],
        mlp_dim=hidden,
        codebook_size=described["codebook_size"],
        classes=described["nclass"],
        grid=grid,
    )


def listed(name: str) -> dict[str, list[int]]:
    """Return all keys and shapes of a released network."""
    (numbered,) = (keys for key, keys in KEYS[name].items() if key.startswith("keys"))
    shapes = {}
    for key, shape in numbered.items():
        for layer in range(KEYS[name]["depth"]):
            shapes[key.replace("{i}", str(layer))] = shape
    return shapes


@pytest.mark.parametrize("name", RELEASED)
def test_released_networks_have_the_official_keys_and_shapes(name: str) -> None:
    shapes = listed(name)
    tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    with torch.device("meta"):
        if name.startswith("v1"):
            config = maskgit_v1.read_sizes(tensors, name, codebook_size=1024)
            network: nn.Module = MaskGITv1(config)
        else:
            tensors.pop("head.weight")  # which has no values here to compare
            config = maskgit_halton.read_sizes(tensors, name, codebook_size=16384)
            network = MaskGITHalton(config)
    assert {key: list(t.shape) for key, t in network.state_dict().items()} == shapes
    assert sum(p.numel() for p in network.parameters()) == KEYS[name]["params"]
    assert (config.depth, config.heads) == (KEYS[name]["depth"], KEYS[name]["heads"])
    assert config.classes == 1000


@pytest.mark.parametrize("grid", [16, 32])
def test_original_networks_have_the_golden_ones_keys_at_their_sizes(grid: int) -> None:
    config = MaskGITConfig(
        dim=768,
        depth=24,
        heads=16,
        head_dim=48,
        mlp_dim=3072,
        codebook_size=1024,
        classes=1000,
        grid=grid,
    )
    with torch.device("meta"):
        network = MaskGITJax(config)
    small_keys = {key.replace("Layer_1", "Layer_23") for key in small("jax").state_dict()}
    state = network.state_dict()
    assert small_keys <= state.keys() and len(state) == 9 + 24 * 16
    assert state["Embed_0.word_embeddings.weight"].shape == (2025, 768)
    assert state["Embed_0.position_embeddings.weight"].shape == (grid**2 + 1, 768)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("marked", [1, 3, 17])
def test_images_keep_their_bits_in_every_batch(form: str, marked: int) -> None:
    network, generator = small(form), torch.Generator().manual_seed(0)
    grid = network.config.grid
    tokens = torch.randint(0, CODES[form], (5, grid, grid), generator=generator)
    where = torch.rand(5, grid**2, generator=generator).argsort(dim=1) < marked
    tokens[where.view_as(tokens)] = network.unknown
    labels = torch.tensor([0, 3, 9, 3, 1])
    whole = network(tokens, labels)
    together = network.logits(network.hidden(tokens, labels, where), where)
    torch.testing.assert_close(together, whole[where], atol=2e-5, rtol=0)
    for some in (slice(0, 1), slice(1, 3), slice(2, 5)):
        part = network.hidden(tokens[some], labels[some], where[some])
        rows = together.unflatten(0, (5, marked))[some].flatten(0, 1)
        assert network.logits(part, where[some]).equal(rows)
        assert network(tokens[some], labels[some]).equal(whole[some])


@pytest.mark.parametrize("form", ["v1", "halton"])
def test_mask_may_have_been_drawn_and_then_is_no_unknown_token(form: str) -> None:
    network, codes = small(form), CODES[form]
    tokens = torch.zeros(1, network.config.grid, network.config.grid, dtype=torch.long)
    tokens[0, 0, 0] = codes
    drawn = network(tokens, torch.tensor([1]))
    tokens[0, 0, 0] = network.unknown
    assert network.unknown not in (codes, *range(codes)) and drawn.shape[-1] == codes + 1
    assert network(tokens, torch.tensor([1])).equal(drawn)


def without(weights: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if name != key}


Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]
V1_MLP = "transformer.layers.1.1.fn.net.0.bias"
JAX_KERNEL = "TransformerLayer_1/Attention_0/self_attention/key/kernel"
WRONG: list[tuple[str, Change, str]] = [
    ("v1", lambda w: without(w, "pos_emb"), "'pos_emb' is missing"),
    ("v1", lambda w: without(w, V1_MLP), "net.0.bias' is missing"),
    ("v1", lambda w: w | {"old": torch.ones(1)}, "'old' is unexpected"),
    ("v1", lambda w: w | {V1_MLP: torch.ones(7)}, "has shape [7], but"),
    ("v1", lambda w: w | {"bias": w["bias"] / 0}, "'bias' holds infinities"),
    ("v1", lambda w: w | {"pos_emb": w["pos_emb"][:, 1:]}, "35 image positions"),
    ("v1", lambda w: w | {"tok_emb.weight": w["tok_emb.weight"][:66]}, "66 rows, too few"),
    ("v1", lambda w: w | {"tok_emb.weight": torch.ones(4)}, "must have 2 dimensions"),
    ("halton", lambda w: without(w, "reg_tokens.weight"), "'reg_tokens.weight' is missing"),
    ("halton", lambda w: without(w, "head.bias"), "'head.bias' is missing"),
    ("halton", lambda w: w | {"head.weight": w["head.weight"] + 1}, "differs from"),
    ("halton", lambda w: w | {"tok_emb.weight": torch.ones(60, 48)}, "60 rows, but must have 65"),
    ("halton", lambda w: w | {"pos_emb.weight": torch.ones(0, 48)}, "none of them 0"),
    ("jax", lambda w: without(w, JAX_KERNEL), "key.weight' is missing"),
    ("jax", lambda w: w | {JAX_KERNEL: torch.ones(48, 4, 11)}, "has shape [44, 48], but"),
    ("jax", lambda w: w | {"Embed_1/embedding": torch.ones(2, 2)}, "Embed_1.weight' is unexpected"),
    ("v1", lambda w: golden_weights("halton"), "'pos_emb' is missing"),
    ("halton", lambda w: golden_weights("v1"), "rows, but must have 65"),
    ("jax", lambda w: golden_weights("v1"), "embedding' is missing"),
]


@pytest.mark.parametrize(("form", "change", "message"), WRONG, ids=[m for _, _, m in WRONG])
def test_wrong_weights_are_told_in_one_sentence(form: str, change: Change, message: str) -> None:
    weights = golden_weights("jax_transformer" if form == "jax" else form)
    with pytest.raises(InputError) as caught:
        golden_network(form, change(dict(weights)), CODES[form], HEADS)
    assert message in str(caught.value) and str(caught.value).startswith(f"{form}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("heads", "message"), [(None, '{"heads": 8}'), (5, "into 5 heads")])
def test_heads_that_shapes_do_not_tell_are_asked_for(heads: int | None, message: str) -> None:
    for read, form in ((maskgit_v1.read_sizes, "v1"), (maskgit_halton.read_sizes, "halton")):
        with pytest.raises(InputError) as caught:
            read(golden_weights(form), form, codebook_size=64, heads=heads)
        assert message in str(caught.value)
