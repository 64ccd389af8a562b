import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import load_state
from bakeoff.samplers.networks.flax_names import from_flax
from bakeoff.samplers.networks.maskgit_jax_vq import JaxVQ, JaxVQConfig
from bakeoff.samplers.networks.vqgan import VQGAN, VQGANConfig
from tests.samplers.maskgit_folders import golden_weights

VQGAN_FILE = pytest.mark.golden_files("maskgit/vqgan")
JAX_FILE = pytest.mark.golden_files("maskgit/jax")
KEYS = json.loads((Path(__file__).parent / "maskgit_keys.json").read_text())
OFFICIAL = KEYS["v1 tokenizer (taming VQGAN f16-1024)"]


def tolerance(golden_file: Any, name: str) -> dict[str, float]:
    words = golden_file.description["tolerance"][name].split()
    return {"rtol": 0.0} | {k: float(v) for k, v in zip(words[::2], words[1::2], strict=True)}


def vqgan(folder: Path) -> VQGAN:
    weights = golden_weights("vqgan", folder)
    tokenizer = VQGAN(VQGANConfig.of(weights, "vqgan"))
    load_state(tokenizer, weights, source="vqgan")
    return tokenizer.eval().requires_grad_(False)


def jax_vq(folder: Path) -> JaxVQ:
    weights = golden_weights("jax_tokenizer", folder)
    tokenizer = JaxVQ(JaxVQConfig.of(weights, "jax"))
    load_state(tokenizer, from_flax(weights), source="jax")
    return tokenizer.eval().requires_grad_(False)


@VQGAN_FILE
def test_vqgan_decodes_and_encodes_as_the_official_one(golden_file: Any) -> None:
    tokenizer, tensors = vqgan(golden_file.folder), golden_file.tensors
    limits = tolerance(golden_file, "decoded")
    entries = tokenizer.lookup(tensors["codes"])
    assert entries.equal(tensors["codebook_entry"])
    close = torch.testing.assert_close
    close(tokenizer.post_quant_conv(entries), tensors["post_quant"], **limits)
    close(tokenizer.decode(tensors["codes"]), tensors["decoded"], **limits)
    close(tokenizer.latents(tensors["image"]), tensors["encoder.quant_conv_out"], **limits)
    assert tokenizer.encode(tensors["image"]).equal(tensors["encode.indices"])


@VQGAN_FILE
def test_sizes_of_a_vqgan_are_read_off_its_weights(golden_file: Any) -> None:
    described, config = golden_file.description, vqgan(golden_file.folder).config
    layout = described["ddconfig"]
    assert config == VQGANConfig(
        widths=tuple(layout["ch"] * multiplier for multiplier in layout["ch_mult"]),
        blocks=layout["num_res_blocks"],
        attended=frozenset(
            level
            for level in range(len(layout["ch_mult"]))
            if layout["resolution"] >> level in layout["attn_resolutions"]
        ),
        z_channels=layout["z_channels"],
        code_dim=described["embed_dim"],
        codebook_size=described["n_embed"],
    )
    assert config.factor == described["downsample_factor"]


def nchw(image: Tensor) -> Tensor:
    return image.movedim(-1, 1)


@JAX_FILE
def test_original_tokenizer_decodes_and_encodes_as_the_official_one(golden_file: Any) -> None:
    tokenizer, tensors = jax_vq(golden_file.folder), golden_file.part("tok")
    limits = tolerance(golden_file, "decoded")
    close, image = torch.testing.assert_close, nchw(tensors["image_nhwc"])
    close(tokenizer.decode(tensors["codes"]), nchw(tensors["decoded_nhwc"]), **limits)
    close(tokenizer.encoder(image), nchw(tensors["encoder_out_nhwc"]), **limits)
    assert tokenizer.encode(image).equal(tensors["indices"].long())


@JAX_FILE
def test_sizes_of_an_original_tokenizer_are_read_off_its_weights(golden_file: Any) -> None:
    described, config = golden_file.description["tokenizer"], jax_vq(golden_file.folder).config
    assert config == JaxVQConfig(
        widths=tuple(described["filters"] * m for m in described["channel_multipliers"]),
        blocks=described["num_res_blocks"],
        code_dim=described["embedding_dim"],
        codebook_size=described["codebook_size"],
    )


def test_released_vqgan_has_the_official_keys_and_shapes() -> None:
    tensors = {key: torch.empty(shape, device="meta") for key, shape in OFFICIAL.items()}
    with torch.device("meta"):
        tokenizer = VQGAN(VQGANConfig.of(tensors, "vqgan"))
    shapes = {key: list(tensor.shape) for key, tensor in tokenizer.state_dict().items()}
    assert shapes == OFFICIAL and len(shapes) == 343
    assert (
        sum(p.numel() for p in tokenizer.parameters()) == 72_141_699
        and tokenizer.config.factor == 16
    )


def test_original_tokenizer_of_the_official_size_reads_its_own_sizes_back() -> None:
    config = JaxVQConfig(
        widths=(128, 128, 256, 256, 512), blocks=2, code_dim=256, codebook_size=1024
    )
    assert config.factor == 16
    with torch.device("meta"):
        tokenizer = JaxVQ(config)
    blocks = [f"encoder.ResBlock_{i}.Conv_0.weight" for i in range(12)]
    state = tokenizer.state_dict()
    assert set(blocks) <= state.keys() and "encoder.ResBlock_12.Conv_0.weight" not in state
    assert [list(state[key].shape[:2]) for key in blocks[3:6]] == [
        [128, 128],
        [256, 128],
        [256, 256],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.conv_out.weight": None}, "'encoder.conv_out.weight' is missing"),
        ({"decoder.norm_out.bias": None}, "'decoder.norm_out.bias' is missing"),
        ({"old": torch.ones(1)}, "'old' is unexpected"),
        ({"quant_conv.bias": torch.ones(9)}, "'quant_conv.bias' has shape [9], but"),
        ({"quant_conv.bias": torch.full((24,), torch.inf)}, "'quant_conv.bias' holds infinities"),
        ({"encoder.down.0.block.0.conv2.weight": torch.ones(30, 32, 3, 3)}, "is 30 wide"),
    ],
)
def test_wrong_weights_of_a_vqgan_are_told_in_one_sentence(
    change: dict[str, Tensor | None], message: str
) -> None:
    weights = {k: t for k, t in (golden_weights("vqgan") | change).items() if t is not None}
    with pytest.raises(InputError) as caught:
        load_state(VQGAN(VQGANConfig.of(weights, "vqgan")), weights, source="vqgan")
    assert message in str(caught.value) and str(caught.value).startswith("vqgan: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantizer/codebook": None}, "'quantizer/codebook' is missing"),
        ({"decoder/GroupNorm_0/bias": None}, "'decoder.GroupNorm_0.bias' is missing"),
        ({"encoder/ResBlock_0/Conv_0/kernel": torch.ones(3, 3, 32, 40)}, "is 40 wide"),
        ({"encoder/Conv_9/kernel": torch.ones(3, 3, 2, 2)}, "Conv_9.weight' is unexpected"),
        ({"encoder/GroupNorm_0/bias": torch.full((64,), torch.nan)}, "holds infinities"),
    ],
)
def test_wrong_weights_of_an_original_tokenizer_are_told_in_one_sentence(
    change: dict[str, Tensor | None], message: str
) -> None:
    weights = {k: t for k, t in (golden_weights("jax_tokenizer") | change).items() if t is not None}
    with pytest.raises(InputError) as caught:
        load_state(JaxVQ(JaxVQConfig.of(weights, "jax")), from_flax(weights), source="jax")
    assert message in str(caught.value) and str(caught.value).startswith("jax: ")
