"""Training of the judge: a CLIP of its own, by which `clip_score` compares the generators.

In this world it is known which captions are true of which pictures, so every pair of a batch is a
labelled one: the sigmoid loss of SigLIP on truth, with a near miss of each caption added.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.grammar import Caption
from bakeoff.samplers.tiny.train import text
from bakeoff.samplers.tiny.train.loop import Trainable, half_precision

PATCH_KINDS = 1 + len(world.SHAPES) * len(world.COLORS)
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


class TinyJudge(Trainable):
    """The CLIP model with two parts that serve training only: a bias and a patch classifier."""

    def __init__(self, tokenizer_folder: Path, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.tokenizer = text.write_clip_tokenizer(tokenizer_folder)
        tower = {
            "hidden_size": text.WIDTH,
            "intermediate_size": 3 * text.WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
        }
        words = text.clip_text_config(self.tokenizer, text.WIDTH).to_dict()
        config = CLIPConfig(
            text_config=words | tower,
            vision_config=tower | {"image_size": world.SIZE, "patch_size": world.CELL},
            projection_dim=text.WIDTH,
        )
        self.clip = CLIPModel(config)
        self.clip.set_attn_implementation("eager")  # its backward pass is faster on a CPU
        self.bias = nn.Parameter(torch.tensor(-4.0))
        self.patches = nn.Linear(text.WIDTH, PATCH_KINDS)

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the sigmoid loss over all pairs, plus the patches' cross-entropy."""
        pairs = [grammar.sample(rng) for _ in range(size)]
        scenes = [scene for _, scene in pairs]
        captions = [c for c, _ in pairs] + [near_miss(c, rng) for c, _ in pairs]
        true = truths(captions, scenes)  # [B, 2B]
        images = np.stack([world.render(scene) for scene in scenes])
        pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        ids = self.tokenizer(
            [caption.text() for caption in captions], padding="max_length", truncation=True,
            max_length=text.LENGTH, return_tensors="pt",
        ).input_ids  # fmt: skip
        with half_precision():
            seen = self.clip.vision_model(pixel_values=pixels)
            read = self.clip.text_model(input_ids=ids)
            image = F.normalize(self.clip.visual_projection(seen.pooler_output).float(), dim=-1)
            words = F.normalize(self.clip.text_projection(read.pooler_output).float(), dim=-1)
            kinds = self.patches(seen.last_hidden_state[:, 1:]).float()  # [B, 64, kinds]
        logits = self.clip.logit_scale.exp() * image @ words.T + self.bias
        # every picture has one sure truth and one sure near miss; weigh them as the rest together
        weight = torch.ones_like(logits)
        own = torch.arange(size)
        weight[own, own] = weight[own, own + size] = size / 4
        matching = F.binary_cross_entropy_with_logits(logits, true, weight=weight)
        wanted = torch.from_numpy(np.stack([patch_kinds(scene) for scene in scenes]))
        return matching + 0.2 * F.cross_entropy(kinds.flatten(0, 1), wanted.flatten())

    def export(self, folder: Path) -> None:
        """Write model, tokenizer and preprocessing as transformers reads them."""
        self.clip.half().save_pretrained(folder)
        self.clip.float()
        text.write_clip_tokenizer(folder)
        size = {"height": world.SIZE, "width": world.SIZE}
        CLIPImageProcessor(
            size=size, do_center_crop=False, image_mean=list(MEAN), image_std=list(STD)
        ).save_pretrained(folder)


def near_miss(caption: Caption, rng: np.random.Generator) -> Caption:
    """Return the caption with one thing wrong: a relation, a count, a shape or a colour."""
    things = list(caption.things)
    if caption.relation and rng.random() < 0.6:
        opposite = {"left of": "right of", "above": "below"}
        opposite |= {b: a for a, b in opposite.items()}
        if rng.random() < 0.5:
            return replace(caption, relation=opposite[caption.relation])
        return replace(caption, things=(things[1], things[0]))
    if things[0].color and len(things) == 2 and rng.random() < 0.5:
        swapped = [replace(things[i], color=things[1 - i].color) for i in (0, 1)]
        return replace(caption, things=tuple(swapped))
    at = int(rng.integers(len(things)))
    thing = things[at]
    if thing.count > 1 and rng.random() < 0.6:
        counts = [n for n in grammar.NUMBERS if n != thing.count]
        things[at] = replace(thing, count=int(rng.choice(counts)))
    elif thing.color and rng.random() < 0.5:
        used = {other.color for other in things}
        things[at] = replace(
            thing, color=str(rng.choice([c for c in world.COLORS if c not in used]))
        )
    else:
        taken = {other.shape for other in things}
        things[at] = replace(
            thing, shape=str(rng.choice([s for s in world.SHAPES if s not in taken]))
        )
    return replace(caption, things=tuple(things))


def truths(captions: list[Caption], scenes: list[world.Scene]) -> Tensor:
    """Return [scenes, captions] with 1 where a caption is true of a scene."""
    result = torch.zeros(len(scenes), len(captions))
    present = [{item.shape for item in scene} for scene in scenes]
    for column, caption in enumerate(captions):
        needed = {thing.shape for thing in caption.things}
        expectation = caption.expectation()
        for row, scene in enumerate(scenes):
            if needed <= present[row]:
                result[row, column] = grammar.holds(expectation, scene)
    return result


def patch_kinds(scene: world.Scene) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the kind [8, 8] of each cell: 0, or a number for the shape and colour it shows."""
    shown = world.tokens(scene) > 0
    kinds = np.zeros(shown.shape, dtype=np.int64)
    colors = list(world.COLORS)
    for item in scene:
        kind = 1 + world.SHAPES.index(item.shape) * len(colors) + colors.index(item.color)
        kinds[item.row : item.row + item.cells, item.column : item.column + item.cells] = kind
    return kinds * shown
