"""The sizes of LlamaGen's networks as a folder tells them: official files bring no configuration.

Most sizes are read off the weights' shapes. Two are not to be seen there: the number of heads
follows from the width of the released networks, and the number of image tokens from the file's
name, which ends in the side of the images in pixels (`c2i_XL_384.pt`). A `config.json` beside the
weights may say any of them, and goes first.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import load_config
from bakeoff.samplers.networks.llamagen import LlamaGenConfig
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQConfig
from bakeoff.samplers.networks.weight_shapes import Shapes

HEADS = {768: 12, 1024: 16, 1280: 20, 1536: 24, 3200: 32}  # B, L, XL, XXL, 3B by width
PIXELS_PER_TOKEN = 16  # of every released transformer, along one side
IMAGE_SIDE = re.compile(r"_(\d{2,4})\.(?:pt|safetensors)$")


def read_sizes(folder: str | Path, tensors: Mapping[str, Tensor]) -> LlamaGenConfig:
    """Return the sizes of a transformer from its folder and its weights.

    Raises: InputError if weights or settings are missing or impossible.
    """
    settings = _settings(folder)
    shapes = Shapes(tensors, folder)
    codes, dim = shapes.of("tok_embeddings.weight", 2)
    sizes: dict[str, Any] = {
        "dim": dim,
        "n_layer": shapes.count("layers.{}.attention.wqkv.weight"),
        "vocab_size": codes,
    }
    if "cls_embedding.uncond_embedding" in shapes:
        length, width = shapes.of("cls_embedding.uncond_embedding", 2)
        sizes |= {"model_type": "t2i", "cls_token_num": length, "caption_dim": width}
    else:
        rows, _ = shapes.of("cls_embedding.embedding_table.weight", 2)
        sizes |= {"model_type": "c2i", "num_classes": rows - 1}  # the last is the unconditional one
    if "n_head" not in settings:
        sizes["n_head"] = shapes.heads(None, HEADS, dim, dim)
    if "block_size" not in settings:
        sizes["block_size"] = image_tokens(folder)
    return LlamaGenConfig.from_dict(sizes | settings)


def image_tokens(folder: str | Path) -> int:
    """Return the number N of image tokens of a transformer's folder, whose weights stay unread.

    Raises: InputError if neither configuration nor file name tell it.
    """
    settings = _settings(folder)
    if "block_size" in settings:
        alone = {"dim": 4, "n_layer": 1, "n_head": 1, "block_size": settings["block_size"]}
        return LlamaGenConfig.from_dict(alone).block_size
    side = image_side(folder)
    if side is None or side % PIXELS_PER_TOKEN:
        names = ", ".join(sorted(file.name for file in Path(folder).glob("*")))
        raise InputError(
            f"{folder}: the name of the weights must end in the side of the images in pixels, a "
            f"multiple of {PIXELS_PER_TOKEN} as in c2i_XL_384.pt, or a config.json beside them "
            f"must hold block_size, the number of image tokens; found {names or 'nothing'}"
        )
    return (side // PIXELS_PER_TOKEN) ** 2


def image_side(folder: str | Path) -> int | None:
    """Return the side in pixels that the name of a transformer's file tells, or None."""
    matches = [IMAGE_SIDE.search(file.name) for file in Path(folder).glob("*")]
    sides = {int(match[1]) for match in matches if match}
    return sides.pop() if len(sides) == 1 else None


def read_tokenizer_sizes(folder: str | Path, tensors: Mapping[str, Tensor]) -> LlamaGenVQConfig:
    """Return the sizes of an image tokenizer from its folder and its weights.

    Raises: InputError if weights or settings are missing or impossible.
    """
    shapes = Shapes(tensors, folder)
    codes, code_width = shapes.of("quantize.embedding.weight", 2)
    ch = shapes.of("encoder.conv_in.weight", 4)[0]
    sizes = {
        "codebook_size": codes,
        "codebook_embed_dim": code_width,
        "ch": ch,
        "encoder_ch_mult": _multipliers(shapes, "encoder", ch),
        "decoder_ch_mult": _multipliers(shapes, "decoder", ch)[::-1],
        "num_res_blocks": shapes.count("encoder.conv_blocks.0.res.{}.conv1.weight"),
        "z_channels": shapes.of("encoder.conv_out.weight", 4)[0],
    }
    return LlamaGenVQConfig.from_dict(sizes | _settings(folder))


def _multipliers(shapes: Shapes, half: str, ch: int) -> list[int]:
    """Return the width of each level of a pyramid in its order, over the base width."""
    key = half + ".conv_blocks.{}.res.0.conv1.weight"
    return [shapes.of(key.format(level), 4)[0] // ch for level in range(shapes.count(key))]


def _settings(folder: str | Path) -> dict[str, Any]:
    return load_config(folder) if (Path(folder) / "config.json").exists() else {}
