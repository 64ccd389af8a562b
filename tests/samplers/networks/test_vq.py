from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import load_config, load_state, load_weights
from bakeoff.samplers.networks.vq import PixelAttention, ResnetBlock, VQConfig, VQModel, to_uint8

ATOL = 5e-5
# the tokenizer that Meissonic's descends from
TINY: dict[str, Any] = {
    "block_out_channels": [4, 8],
    "latent_channels": 5,
    "num_vq_embeddings": 12,
    "norm_num_groups": 2,
}


def load(folder: Path) -> VQModel:
    model = VQModel(VQConfig.from_dict(load_config(folder)))
    load_state(model, load_weights(folder), source=folder)
    return model.eval()


def tiny(**changes: Any) -> VQModel:
    torch.manual_seed(0)
    return VQModel(VQConfig.from_dict({**TINY, **changes})).eval()


def image(rows: int = 2, size: int = 8) -> Tensor:
    return torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(rows))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=ATOL, rtol=0)


@pytest.mark.golden_files("meissonic/vq_*")
@torch.inference_mode()
def test_decoded_images_are_the_official_ones(golden_file: Any) -> None:
    model = load(golden_file.folder / golden_file.description["checkpoint"])
    tensors = golden_file.tensors
    assert torch.equal(model.lookup(tensors["in.indices"]), tensors["out.quant"])
    decoded = model.decode(tensors["in.indices"])
    close(decoded, tensors["out.decoded"])
    assert (to_uint8(decoded).int() - tensors["out.uint8"].int()).abs().max() <= 1


@pytest.mark.golden_files("meissonic/vq_*")
@torch.inference_mode()
def test_encoded_tokens_are_the_official_ones(golden_file: Any) -> None:
    model = load(golden_file.folder / golden_file.description["checkpoint"])
    tensors = golden_file.tensors
    close(model.latents(tensors["in.image"]), tensors["out.latents"])
    assert torch.equal(model.encode(tensors["in.image"]), tensors["out.encoded_indices"])


@torch.inference_mode()
def test_golden_checkpoints_fit_their_configuration(golden: Path) -> None:
    folders = sorted(golden.glob("meissonic/ckpt_*/vqvae"))
    for folder in folders:
        model = load(folder)
        ids = torch.zeros(1, 1, 2).long()
        side = model.config.factor
        assert model.decode(ids).shape == (1, 3, side, 2 * side)
        assert model.encode(torch.rand(1, 3, side, 2 * side)).shape == ids.shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"act_fn": "relu"}, "act_fn 'relu'"),
        ({"norm_type": "spatial"}, "norm_type 'spatial'"),
        ({"lookup_from_codebook": False}, "lookup_from_codebook False"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, "AttnDownEncoderBlock2D"),
        ({"norm_num_groups": 3}, "norm_num_groups"),
    ],
)
def test_other_architectures_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VQConfig.from_dict({**TINY, **changes})


@torch.inference_mode()
@pytest.mark.parametrize("width", [None, 3])
def test_token_is_the_nearest_code(width: int | None) -> None:
    model = tiny(vq_embed_dim=width)
    latents = torch.randn(2, width or 5, 4, 3)
    distance = (latents[:, None] - model.codebook[None, :, :, None, None]).square().sum(2)
    assert torch.equal(model.nearest(latents), distance.argmin(1))


@torch.inference_mode()
def test_codes_are_their_own_nearest() -> None:
    model = tiny()
    ids = torch.arange(12).view(1, 3, 4)
    assert torch.equal(model.nearest(model.lookup(ids)), ids)


@torch.inference_mode()
def test_images_do_not_touch_each_other() -> None:
    model = tiny(mid_block_add_attention=True)
    ids = torch.randint(0, 12, (3, 4, 4))
    close(model.decode(ids)[1:2], model.decode(ids[1:2]))
    assert torch.equal(model.encode(image(3))[2:], model.encode(image(3)[2:]))


@torch.inference_mode()
def test_attention_averages_over_all_pixels() -> None:
    block = PixelAttention(4, 2)
    x = torch.randn(1, 4, 3, 2)
    y = F.group_norm(x, 2, block.group_norm.weight, block.group_norm.bias, 1e-6)
    y = y.flatten(2)[0].T  # [H·W, 4]
    scores = block.to_q(y) @ block.to_k(y).T / 2
    mixed = block.to_out(scores.softmax(-1) @ block.to_v(y))
    close(block(x), x + mixed.T.view(1, 4, 3, 2))


@torch.inference_mode()
def test_shortcut_maps_channels_only_where_they_change() -> None:
    keeps, changes = ResnetBlock(4, 4, 2), ResnetBlock(4, 6, 2)
    x = torch.randn(1, 4, 5, 5)
    for block in (keeps, changes):
        torch.nn.init.zeros_(block.conv2.weight)
        torch.nn.init.zeros_(block.conv2.bias)
    assert torch.equal(keeps(x), x)
    assert torch.equal(changes(x), changes.conv_shortcut(x))


def test_tokenizer_learns_through_its_codes() -> None:
    model = tiny().train()
    x = image(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        latents = model.latents(x)
        codes = model.lookup(model.nearest(latents))
        straight = latents + (codes - latents).detach()
        rebuilt = model.decode_latents(straight)
        loss = F.mse_loss(rebuilt, x) + F.mse_loss(codes, latents.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in model.parameters())
    assert losses[-1] < 0.7 * losses[0]


def test_pixels_are_clipped_and_rounded_half_to_even() -> None:
    values = torch.tensor([-1.0, 0.5 / 255, 1.5 / 255, 0.2, 254.4 / 255, 1.7])
    pixels = to_uint8(values.view(1, 1, 2, 3).expand(1, 3, 2, 3))
    assert pixels.shape == (1, 2, 3, 3)
    assert pixels[0, :, :, 0].flatten().tolist() == [0, 0, 2, 51, 254, 255]
