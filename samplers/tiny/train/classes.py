"""Training of the class-conditional generators: a colour and a shape in, a lone object out."""

import re
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.classes import FILE as CLASSES
from bakeoff.samplers.networks.checkpoint import load_weights
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.maskgit_sizes import MaskGITConfig
from bakeoff.samplers.networks.maskgit_v1 import MaskGITv1
from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.train import text
from bakeoff.samplers.tiny.train.generators import (
    CAPTION_DROPOUT,
    HEAD_DIM,
    masked,
    write_json,
    write_weights,
)
from bakeoff.samplers.tiny.train.loop import Trainable, half_precision

HEADS = 4
DIM = HEADS * HEAD_DIM
TOKENIZER = "tiny-llamagen/vq"  # of both generators, each in the format of its family
LEVELS = 4  # of its pyramid
NAMES = [caption.things[0].name for caption in grammar.class_captions()]


def batch(rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Return class ids [B], a tenth of them the dropped class, and the tokens [B, 8, 8]."""
    scenes = grammar.class_scenes()
    drawn = [scenes[place] for place in rng.integers(len(scenes), size=size)]
    labels = np.array([label for label, _ in drawn])
    labels = np.where(rng.random(size) < CAPTION_DROPOUT, len(NAMES), labels)
    codes = np.stack([world.tokens(scene) for _, scene in drawn])
    return torch.from_numpy(labels), torch.from_numpy(codes)


def vqgan_name(key: str) -> str:
    """Return the name that taming's VQGAN has for a weight of LlamaGen's tokenizer.

    The networks are the same but for the codes, which LlamaGen gives unit length when it uses
    them: stored so, the nearest code is the same, too.
    """
    key = re.sub(
        r"decoder\.conv_blocks\.(\d+)", lambda m: f"decoder.up.{LEVELS - 1 - int(m[1])}", key
    )
    key = key.replace("encoder.conv_blocks", "encoder.down").replace(".res.", ".block.")
    for place, name in enumerate(("block_1", "attn_1", "block_2")):
        key = key.replace(f".mid.{place}.", f".mid.{name}.")
    return key


class TinyMaskGIT(Trainable):
    """The masked generator: version 1 of MaskGIT's PyTorch reproduction, four blocks."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.config = MaskGITConfig(
            dim=DIM,
            depth=4,
            heads=HEADS,
            head_dim=HEAD_DIM,
            mlp_dim=4 * DIM,
            codebook_size=world.vocabulary_size(),
            classes=len(NAMES),
            grid=world.GRID,
        )
        self.network = MaskGITv1(self.config)
        with torch.no_grad():
            embedding = self.network.tok_emb.weight  # it is the output matrix, too
            embedding.normal_(generator=generator)
            embedding[: self.config.codebook_size] = text.factored_embedding(DIM, generator)
            embedding.mul_(DIM**-0.5)
            self.network.pos_emb.normal_(std=DIM**-0.5, generator=generator)

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the cross-entropy at masked positions."""
        labels, codes = batch(rng, size)
        unknown = masked(rng, codes)
        tokens = torch.where(unknown, self.network.unknown, codes)
        with half_precision():
            where = unknown.flatten(1)
            logits = self.network.logits(self.network.hidden(tokens, labels, where), where)
        return F.cross_entropy(logits.float(), codes[unknown])

    def export(self, folder: Path) -> None:
        """Write the transformer, the names of the classes, and tiny-llamagen's tokenizer."""
        write_weights(folder / "MaskGIT", self.network, {"heads": HEADS}, "model")
        write_json(folder / CLASSES, NAMES)
        tensors = load_weights(folder.parent / TOKENIZER)
        named = {vqgan_name(key): tensor.half().contiguous() for key, tensor in tensors.items()}
        codes = F.normalize(tensors["quantize.embedding.weight"].float(), dim=-1)
        named["quantize.embedding.weight"] = codes.half()
        (folder / "VQGAN").mkdir(parents=True, exist_ok=True)
        save_file(named, folder / "VQGAN" / "model.safetensors", metadata={"format": "pt"})


class TinyClassLlamaGen(Trainable):
    """The autoregressive generator with one class token before the image."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.config = LlamaGenConfig(
            dim=DIM,
            n_layer=6,
            n_head=HEADS,
            vocab_size=world.vocabulary_size(),
            block_size=world.GRID**2,
            num_classes=len(NAMES),
        )
        self.network = LlamaGenTransformer(self.config)
        with torch.no_grad():
            self.network.tok_embeddings.weight.copy_(text.factored_embedding(DIM, generator))
            head = text.factored_embedding(DIM, generator) * DIM**-0.5
            self.network.output.weight.copy_(head)

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the cross-entropy of all tokens in raster order."""
        labels, codes = batch(rng, size)
        with half_precision():
            logits = self.network(codes.flatten(1), labels)  # [B, N, V]
        return F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten())

    def export(self, folder: Path) -> None:
        """Write the transformer in the layout of our LlamaGen folders, and copy the tokenizer."""
        write_weights(folder / "gpt", self.network, vars(self.config), "model")
        write_json(folder / CLASSES, NAMES)
        shutil.copytree(folder.parent / TOKENIZER, folder / "vq", dirs_exist_ok=True)
