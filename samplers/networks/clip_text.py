"""The CLIP text encoder that conditions Meissonic, through transformers.

Source: Meissonic `pipeline.py` (`encode_prompt`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerBase,
)

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import load_config, load_state, load_weights

# a buffer that files of older transformers versions carry, and what CLIP has besides its text tower
EXTRAS = (
    *("text_model.embeddings.position_ids", "logit_scale"),
    *("vision_model.*", "visual_projection.*"),
)


class ClipTextEncoder:
    """Prompts to text states and a pooled vector.

    `model` is the inner `CLIPTextModelWithProjection`, open to training; `tokenizer` its tokenizer.
    """

    def __init__(
        self, model: CLIPTextModelWithProjection, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @classmethod
    def from_folder(cls, text_encoder: str | Path, tokenizer: str | Path) -> Self:
        """Read the encoder, alone or in a whole CLIP, and its tokenizer from two local folders.

        Raises: InputError if a file is missing or does not fit.
        """
        settings = load_config(text_encoder)
        if "text_config" in settings:  # of a whole CLIP
            shared = {key: settings[key] for key in ("projection_dim",) if key in settings}
            settings = shared | settings["text_config"]
        config = CLIPTextConfig.from_dict(settings)
        # The configuration may name the dtype of the files; that is not the one to run in.
        model = CLIPTextModelWithProjection(config).float()
        load_state(model, load_weights(text_encoder), source=text_encoder, ignore=EXTRAS)
        try:
            tokens = CLIPTokenizer.from_pretrained(str(tokenizer), local_files_only=True)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{tokenizer}: holds no CLIP tokenizer") from error
        return cls(model.eval(), tokens)

    @property
    def length(self) -> int:
        """Tokens a prompt is padded or cut to, T."""
        return min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Return token ids [B, T] of prompts, cut or padded; the end token is always kept."""
        batch = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )
        return batch["input_ids"]

    def states(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the penultimate block's states [B, T, J] and the pooled text [B, P] of ids [B, T].

        No attention mask: padding is looked at, as the official pipeline does.
        """
        output = self.model(input_ids=ids, output_hidden_states=True)
        return output.hidden_states[-2], output.text_embeds

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return text states [B, T, J] and pooled text [B, P] of prompts, without gradients."""
        return self.states(self.tokenize(prompts).to(self.model.device))
