"""Released networks at their full sizes, on no device: every key and shape is the official one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from bakeoff.samplers.llamagen import TOKENIZER_EXTRAS
from bakeoff.samplers.networks.llamagen import LlamaGenTransformer
from bakeoff.samplers.networks.llamagen_sizes import read_sizes, read_tokenizer_sizes
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ
from bakeoff.samplers.networks.meissonic import MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.vq import VQConfig, VQModel

LLAMAGEN = json.loads((Path(__file__).parent / "llamagen_keys.json").read_text())
MEISSONIC = json.loads((Path(__file__).parent / "meissonic_keys.json").read_text())
SIDES = {"c2i": (256, 384, 512), "t2i": (256, 512)}
TRANSFORMERS = [name for name in LLAMAGEN if "GPT" in name]
RELEASED = {"num_layers": 14, "num_single_layers": 28, "num_attention_heads": 8}
RELEASED |= {"joint_attention_dim": 1024, "pooled_projection_dim": 1024}
LAYERS = {"transformer_blocks": 14, "single_transformer_blocks": 28}
VQVAE = {"block_out_channels": [128, 256, 256, 512, 768], "latent_channels": 64}
VQVAE |= {"layers_per_block": 2, "num_vq_embeddings": 8192, "mid_block_add_attention": False}
VQVAE |= {"act_fn": "silu", "norm_type": "group", "scaling_factor": 0.18215}

Shapes = dict[str, list[int]]


@pytest.fixture(autouse=True)
def on_no_device() -> Any:
    with torch.device("meta"):
        yield


def each_layer(keys: Shapes, count: dict[str, int]) -> Shapes:
    """Write `{i}` out for every layer; `count` tells their number by the name before it."""
    shapes = {}
    for key, shape in keys.items():
        for i in range(count[key.partition(".{i}")[0]] if "{i}" in key else 1):
            shapes[key.replace("{i}", str(i))] = shape
    return shapes


def shapes_of(network: nn.Module) -> Shapes:
    return {key: list(tensor.shape) for key, tensor in network.state_dict().items()}


def numbers(shapes: Shapes) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes.values())


def file_of(shapes: Shapes) -> dict[str, Tensor]:
    return {key: torch.empty(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_llamagen_is_built_from_the_shapes_of_each_file(name: str, tmp_path: Path) -> None:
    described, (kind, size) = LLAMAGEN[name], name.split(" GPT-")
    official = each_layer(described["keys"], {"layers": described["n_layer"]})
    for side in SIDES[kind]:
        file = tmp_path / f"{kind}_{size}_{side}.pt"
        file.touch()
        config = read_sizes(tmp_path, file_of(official))
        file.unlink()
        assert (config.model_type, config.grid) == (kind, side // 16)
        assert (config.n_layer, config.n_head) == (described["n_layer"], described["n_head"])
    assert shapes_of(LlamaGenTransformer(config)) == official
    assert numbers(official) == described["params"]


@pytest.mark.parametrize("factor", [16, 8])
def test_llamagens_tokenizers_are_built_from_the_shapes_of_their_files(
    factor: int, tmp_path: Path
) -> None:
    official = LLAMAGEN[f"tokenizer VQ-{factor}"]["keys"]
    config = read_tokenizer_sizes(tmp_path, file_of(official))
    assert config.downsampling == factor
    wanted = {key: shape for key, shape in official.items() if key not in TOKENIZER_EXTRAS}
    assert shapes_of(LlamaGenVQ(config)) == wanted
    assert numbers(wanted) == LLAMAGEN[f"tokenizer VQ-{factor}"]["params"]


def test_llamagens_text_encoder_has_the_keys_of_flan_t5() -> None:
    encoder = T5EncoderModel(
        T5Config(
            vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32,
            feed_forward_proj="gated-gelu",
        )
    )  # fmt: skip
    found = shapes_of(encoder)
    assert found.pop("encoder.embed_tokens.weight") == found["shared.weight"]
    assert found == each_layer(LLAMAGEN["flan-t5-xl"]["keys"], {"encoder.block": 24})


@pytest.mark.parametrize(
    ("compressed", "count"), [(True, 1_006_946_304), (False, 998_555_648)], ids=["1024", "512"]
)
def test_meissonics_transformer_has_the_official_keys(compressed: bool, count: int) -> None:
    settings = RELEASED | {"downsample": compressed, "upsample": compressed}
    keys = MEISSONIC["transformer"] | (MEISSONIC["compression"] if compressed else {})
    official = each_layer(keys, LAYERS)
    network = MeissonicTransformer(MeissonicConfig.from_dict(settings))
    assert shapes_of(network) == official
    assert numbers(official) == count
    assert network.config.mask_token_id == 8255


def test_meissonics_tokenizer_has_the_official_keys() -> None:
    model = VQModel(VQConfig.from_dict(VQVAE))
    assert shapes_of(model) == MEISSONIC["vqvae"]
    assert model.config.factor == 16
