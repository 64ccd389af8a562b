"""Small checkpoint folders of LlamaGen with random weights, in our format and the official one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig

COLORS, SHAPES = ("red", "green", "blue"), ("circle", "square", "ring")
CODES = 61
# as small as files can be that bring no configuration: of a released width, images of 64 pixels
OFFICIAL = {"dim": 768, "n_layer": 1, "n_head": 12, "vocab_size": CODES, "block_size": 16}
OFFICIAL_VQ = {"codebook_size": CODES, "ch": 32, "z_channels": 16, "num_res_blocks": 1}
OFFICIAL_VQ |= {"encoder_ch_mult": (1, 1, 1, 1, 2), "decoder_ch_mult": (1, 1, 1, 1, 2)}
T5 = T5Config(
    vocab_size=10, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=3,
    feed_forward_proj="gated-gelu",
)  # fmt: skip


def write_part(folder: Path, module: nn.Module, config: dict) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    weights = {name: weight.half().contiguous() for name, weight in module.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def random_network(config: LlamaGenConfig) -> LlamaGenTransformer:
    network = LlamaGenTransformer(config)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


def write_tokenizer(folder: Path) -> None:
    words = ["<pad>", "</s>", "<unk>", "a", *COLORS, *SHAPES]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def write_checkpoint(folder: Path, **settings: object) -> Path:
    torch.manual_seed(0)
    sizes = {"dim": 48, "n_layer": 2, "n_head": 4, "vocab_size": CODES, "block_size": 25}
    sizes |= {"cls_token_num": 6, "model_type": "t2i", "caption_dim": 24}
    gpt = LlamaGenConfig.from_dict(sizes | settings)
    multipliers = [1, 1, 2]
    vq = {"codebook_size": CODES, "ch": 32, "z_channels": 16}
    vq |= {"encoder_ch_mult": multipliers, "decoder_ch_mult": multipliers}
    network = random_network(gpt)
    folder.mkdir(exist_ok=True)
    write_part(folder / "gpt", network, asdict(gpt))
    write_part(folder / "vq", LlamaGenVQ(LlamaGenVQConfig.from_dict(vq)), vq)
    T5EncoderModel(T5).half().save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    return folder


def write_official(folder: Path, kind: str) -> Path:
    """Write a folder of official files: `c2i` or `t2i`; nothing but T5 has a configuration."""
    torch.manual_seed(0)
    (folder / "gpt").mkdir(parents=True)
    (folder / "vq").mkdir()
    sizes: dict[str, Any] = dict(OFFICIAL)
    if kind == "t2i":
        sizes |= {"model_type": "t2i", "cls_token_num": 8, "caption_dim": T5.d_model}
        T5EncoderModel(T5).save_pretrained(folder / "flan-t5-xl")
        write_tokenizer(folder / "flan-t5-xl")
    weights = random_network(LlamaGenConfig(**sizes)).state_dict()
    torch.save({"model": weights, "steps": 5}, folder / f"gpt/{kind}_B_64.pt")
    vq = LlamaGenVQ(LlamaGenVQConfig.from_dict(OFFICIAL_VQ)).state_dict()
    vq["quantize.codebook_used"] = torch.zeros(65536)
    torch.save({"model": vq}, folder / f"vq/vq_ds16_{kind}.pt")
    return folder
