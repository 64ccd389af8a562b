import pytest
import torch
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import load_state, load_weights
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig, resized, to_uint8

VQ = pytest.mark.golden_files("llamagen/vq")
POSTPROCESS = pytest.mark.golden_files("llamagen/postprocess")
SMALL = {"codebook_size": 50, "ch": 32, "z_channels": 16}
SMALL |= {"encoder_ch_mult": [1, 2], "decoder_ch_mult": [1, 2]}


def tolerance(golden_file, name: str) -> dict[str, float]:
    words = golden_file.description["tolerance"][name].split()
    return {"rtol": 0.0} | {k: float(v) for k, v in zip(words[::2], words[1::2], strict=True)}


def golden_tokenizer(golden_file) -> LlamaGenVQ:
    settings = dict(golden_file.description["config"])
    settings["encoder_ch_mult"] = settings["decoder_ch_mult"] = settings.pop("ch_mult")
    assert settings.pop("group_norm_groups") == 32
    assert settings.pop("group_norm_eps") == 1e-6
    tokenizer = LlamaGenVQ(LlamaGenVQConfig.from_dict(settings))
    name = golden_file.path.stem + "_weights.safetensors"
    weights = load_weights(golden_file.folder / name)
    load_state(tokenizer, weights, source=name, ignore=["quantize.codebook_used"])
    assert golden_file.description["downsample_factor"] == tokenizer.config.downsampling
    return tokenizer.requires_grad_(False)


def small_tokenizer() -> LlamaGenVQ:
    torch.manual_seed(0)
    return LlamaGenVQ(LlamaGenVQConfig.from_dict(SMALL))


@VQ
def test_tokens_decode_to_the_official_image(golden_file) -> None:
    tokenizer, tensors = golden_tokenizer(golden_file), golden_file.tensors
    height, width = tensors["codebook_entry"].shape[2:]
    grid = tensors["codes"].unflatten(1, (height, width))
    seen = {}
    tokenizer.post_quant_conv.register_forward_hook(lambda _, x, y: seen.update(post_quant=y))
    tokenizer.decoder.mid.register_forward_hook(lambda _, x, y: seen.update(after_mid=y))
    torch.testing.assert_close(
        tokenizer.quantize.lookup(grid),
        tensors["codebook_entry"],
        **tolerance(golden_file, "codebook_entry"),
    )
    image = tokenizer.decode(grid)
    limits = tolerance(golden_file, "decoded")
    torch.testing.assert_close(
        seen["post_quant"], tensors["post_quant"], **tolerance(golden_file, "post_quant")
    )
    torch.testing.assert_close(seen["after_mid"], tensors["decoder.after_mid"], **limits)
    torch.testing.assert_close(image, tensors["decoded"], **limits)


@VQ
def test_an_image_encodes_to_the_official_tokens(golden_file) -> None:
    tokenizer, tensors = golden_tokenizer(golden_file), golden_file.tensors
    latents = tokenizer.latents(tensors["image"])
    torch.testing.assert_close(
        latents, tensors["encoder.quant_conv_out"], **tolerance(golden_file, "decoded")
    )
    grid = tokenizer.encode(tensors["image"])
    assert torch.equal(grid.flatten(), tensors["encode.indices"])
    torch.testing.assert_close(
        tokenizer.quantize.lookup(grid),
        tensors["encode.quant"],
        **tolerance(golden_file, "codebook_entry"),
    )


@POSTPROCESS
def test_pixels_are_the_official_ones(golden_file) -> None:
    tensors = golden_file.tensors
    small = resized(tensors["in"], tensors["bicubic_24_to_16"].shape[2:])
    torch.testing.assert_close(small, tensors["bicubic_24_to_16"], atol=1e-5, rtol=0)
    for image, name in ((tensors["in"], "uint8_plain"), (small, "uint8_resized")):
        off = (to_uint8(image).int() - tensors[name].int()).abs()
        assert off.max() <= 1
        assert (off > 0).double().mean() < 0.001


def test_pixels_are_truncated_after_adding_128() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.999 / 127.5, 1.0, 3.0])
    pixels = to_uint8(values.expand(1, 3, 1, -1))
    assert pixels.shape == (1, 1, 6, 3)
    assert pixels[0, 0, :, 1].tolist() == [0, 0, 128, 128, 255, 255]


def test_codes_have_unit_length_whatever_is_stored() -> None:
    quantizer = small_tokenizer().quantize
    grid = torch.randint(50, (2, 3, 3))
    codes = quantizer.lookup(grid)
    with torch.no_grad():
        quantizer.embedding.weight *= torch.rand(50, 1) + 0.5
    torch.testing.assert_close(quantizer.lookup(grid), codes)
    assert torch.equal(quantizer.nearest(3.0 * codes), grid)


def test_every_weight_can_be_trained() -> None:
    tokenizer = small_tokenizer()
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    latents = F.normalize(tokenizer.latents(image), dim=1)
    codes = tokenizer.quantize.lookup(tokenizer.quantize.nearest(latents.detach()))
    # straight through: gradients of the reconstruction pass the quantizer
    restored = tokenizer.decode_codes(latents + (codes - latents).detach())
    assert restored.shape == image.shape
    (F.mse_loss(restored, image) + F.mse_loss(codes, latents.detach())).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tokenizer.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codebook_l2_norm": False}, "codebook_l2_norm"),
        ({"ch": 48}, "48"),
        ({"codebook_sise": 4}, "did you mean 'codebook_size'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LlamaGenVQConfig.from_dict(SMALL | settings)


def test_training_settings_of_the_official_class_are_ignored() -> None:
    config = LlamaGenVQConfig.from_dict({"commit_loss_beta": 0.25, "dropout_p": 0.0})
    assert config.downsampling == 16
