"""Training of the two generators, each together with its own text encoder.

The text encoders learn from the pictures alone; none has seen the judge, nor the judge them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModelWithProjection, T5EncoderModel

from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.meissonic import MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.t5_text import left_padded
from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.train import text
from bakeoff.samplers.tiny.train.loop import Trainable, half_precision

HEADS, HEAD_DIM = 6, 32
DIM = HEADS * HEAD_DIM
CAPTION_DROPOUT = 0.1
# The autoregressive network sees a caption as the mean of its tokens and would learn that a colour
# or a number rules out the shape it is never named with.
SHORTENED = 0.2
STEPS_SEEN = 64  # sampling feeds the step's index, whatever the mask ratio: train on any
MICRO_CONDITIONS = (float(world.SIZE), float(world.SIZE), 0.0, 0.0, 6.0)


def batch(rng: np.random.Generator, size: int, shortened: float = 0.0) -> tuple[list[str], Tensor]:
    """Return captions, a tenth of them emptied, and the tokens [B, 8, 8] of their scenes.

    `shortened` is the share of mentions that lose a word (see `Caption.shortened`).
    """
    pairs = [grammar.sample(rng, any_words=shortened > 0) for _ in range(size)]
    captions = [
        caption.shortened(shortened, rng) if shortened else caption.text() for caption, _ in pairs
    ]
    dropped = rng.random(size) < CAPTION_DROPOUT
    captions = ["" if drop else text for text, drop in zip(captions, dropped, strict=True)]
    return captions, torch.from_numpy(np.stack([world.tokens(scene) for _, scene in pairs]))


def masked(rng: np.random.Generator, codes: Tensor) -> Tensor:
    """Return which of codes [B, 8, 8] are masked: a share of cos(π/2 · U) in each picture."""
    size, positions = len(codes), codes[0].numel()
    ratio = np.cos(rng.random(size) * np.pi / 2)
    count = np.maximum(np.round(ratio * positions), 1)
    rank = rng.random((size, positions)).argsort(axis=1).argsort(axis=1)
    return torch.from_numpy(rank < count[:, None]).view_as(codes)


class TinyMeissonic(Trainable):
    """The masked generator with its CLIP text tower."""

    def __init__(self, tokenizer_folder: Path, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.tokenizer = text.write_clip_tokenizer(tokenizer_folder)
        self.text = CLIPTextModelWithProjection(text.clip_text_config(self.tokenizer, DIM))
        self.text.set_attn_implementation("eager")  # its backward pass is faster on a CPU
        codes = world.vocabulary_size()
        self.config = MeissonicConfig(
            num_layers=2,
            num_single_layers=4,
            attention_head_dim=HEAD_DIM,
            num_attention_heads=HEADS,
            joint_attention_dim=text.WIDTH,
            pooled_projection_dim=DIM,
            axes_dims_rope=(4, 14, 14),
            vocab_size=codes + 1,
            codebook_size=codes,
        )
        self.network = MeissonicTransformer(self.config)
        self.network.init_weights(generator)
        with torch.no_grad():
            weights = dict(self.network.named_parameters())
            vectors = text.factored_embedding(DIM, generator)
            weights["embed.embeddings.weight"][:codes] = vectors
            head = text.factored_embedding(DIM, generator) * DIM**-0.5
            weights["mlm_layer.conv2.weight"][:, :, 0, 0] = head

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the cross-entropy at masked positions."""
        captions, codes = batch(rng, size)
        unknown = masked(rng, codes)
        tokens = torch.where(unknown, self.config.mask_token_id, codes)
        timestep = torch.from_numpy(rng.integers(0, STEPS_SEEN, size))
        ids = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=text.LENGTH,
            return_tensors="pt",
        ).input_ids  # fmt: skip
        with half_precision():
            output = self.text(ids, output_hidden_states=True)
            micro = torch.tensor(MICRO_CONDITIONS).expand(size, -1)
            condition = self.network.embed_condition(
                output.hidden_states[-2], output.text_embeds, micro
            )
            hidden = self.network.hidden(tokens, condition, timestep)[unknown.flatten(1)]
            logits = self.network.head(hidden)  # [masked, C]
        return F.cross_entropy(logits.float(), codes[unknown])

    def export(self, folder: Path) -> None:
        """Write transformer, text encoder, tokenizer and scheduler in the official layout."""
        config = {
            "_class_name": "Transformer2DModel",
            **vars(self.config),
            "sample_size": world.GRID,
        }
        write_weights(folder / "transformer", self.network, config, "diffusion_pytorch_model")
        self.text.half().save_pretrained(folder / "text_encoder")
        self.text.float()
        text.write_clip_tokenizer(folder / "tokenizer")
        mask = {"mask_token_id": self.config.mask_token_id, "masking_schedule": "cosine"}
        write_json(folder / "scheduler" / "scheduler_config.json", mask)
        index = {
            "_class_name": "Pipeline",
            "scheduler": ["scheduler", "Scheduler"],
            "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "transformer": ["transformer", "Transformer2DModel"],
            "vqvae": ["diffusers", "VQModel"],
        }
        write_json(folder / "model_index.json", index)


class TinyLlamaGen(Trainable):
    """The autoregressive generator with its T5 encoder."""

    def __init__(self, tokenizer_folder: Path, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.tokenizer = text.write_t5_tokenizer(tokenizer_folder)
        self.text = T5EncoderModel(text.t5_config(self.tokenizer))
        self.config = LlamaGenConfig(
            dim=DIM,
            n_layer=6,
            n_head=HEADS,
            vocab_size=world.vocabulary_size(),
            block_size=world.GRID**2,
            cls_token_num=text.LENGTH,
            model_type="t2i",
            caption_dim=text.WIDTH,
        )
        self.network = LlamaGenTransformer(self.config)
        with torch.no_grad():
            self.network.tok_embeddings.weight.copy_(text.factored_embedding(DIM, generator))
            head = text.factored_embedding(DIM, generator) * DIM**-0.5
            self.network.output.weight.copy_(head)

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the cross-entropy of all tokens in raster order."""
        captions, codes = batch(rng, size, SHORTENED)
        encoded = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=text.LENGTH,
            return_tensors="pt",
        )  # fmt: skip
        with half_precision():
            states = self.text(encoded.input_ids, encoded.attention_mask).last_hidden_state
            states, mask = left_padded(states, encoded.attention_mask)
            empty = torch.tensor([caption == "" for caption in captions])[:, None, None]
            states = torch.where(empty, self.network.uncond_embedding.to(states.dtype), states)
            # the null caption is seen through the mask of some caption, as in guidance
            lengths = torch.from_numpy(rng.permutation(size))
            mask = torch.where(empty[:, 0], mask[lengths], mask)
            logits = self.network(codes.flatten(1), states, mask)  # [B, N, V]
        return F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten())

    def export(self, folder: Path) -> None:
        """Write transformer, text encoder and tokenizer in the layout of our LlamaGen folders."""
        write_weights(folder / "gpt", self.network, vars(self.config), "model")
        self.text.half().save_pretrained(folder / "text_encoder")
        self.text.float()
        text.write_t5_tokenizer(folder / "tokenizer")


def write_weights(folder: Path, module: nn.Module, config: Mapping[str, object], name: str) -> None:
    """Write `config.json` and the module's weights as float16 safetensors."""
    write_json(folder / "config.json", config)
    tensors = {key: value.half().contiguous() for key, value in module.state_dict().items()}
    save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})


def write_json(path: Path, content: object) -> None:
    """Write indented JSON, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
