"""The T5 text encoder in front of LlamaGen: prompts to states that end at the same slot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5EncoderModel

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.caption_cleaning import clean_caption
from bakeoff.samplers.networks.checkpoint import load_config, load_state, load_weights

# T5 checkpoints hold the decoder as well
DECODER = ("decoder.*", "lm_head.*")


class T5TextEncoder:
    """A T5 encoder and its tokenizer; `length` is the fixed number of text tokens T."""

    def __init__(
        self, encoder: T5EncoderModel, tokenizer: PreTrainedTokenizerBase, length: int
    ) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.length = length

    @classmethod
    def from_folder(
        cls, text_encoder: str | Path, tokenizer: str | Path, *, length: int = 120
    ) -> Self:
        """Load a Hugging Face T5 folder (float32, encoder half only) and a tokenizer folder.

        Raises: InputError if either is missing or does not fit its configuration.
        """
        return cls(load_encoder(text_encoder), load_tokenizer(tokenizer), length)

    @property
    def dim(self) -> int:
        """Width D of the states."""
        return self.encoder.config.d_model

    def tokenize(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token ids of cleaned prompts and their 0/1 mask, both [B, T], padded right."""
        encoded = self.tokenizer(
            [clean_caption(prompt) for prompt in prompts],
            max_length=self.length,
            padding="max_length",
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return encoded["input_ids"], encoded["attention_mask"]

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return states [B, T, D], padded with zeros on the left, and their 0/1 mask [B, T].

        Each prompt is encoded by itself, so that its states do not depend on its neighbours, and
        once however often it occurs.
        """
        rows = {prompt: self._encode_one(prompt) for prompt in dict.fromkeys(prompts)}
        states, masks = zip(*(rows[prompt] for prompt in prompts), strict=True)
        return torch.cat(states), torch.cat(masks)

    def _encode_one(self, prompt: str) -> tuple[Tensor, Tensor]:
        ids, mask = (x.to(self.encoder.device) for x in self.tokenize([prompt]))
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return left_padded(states, mask)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder; code that the folder brings along is never run.

    Raises: InputError if there is none, or it needs such code.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: there is no tokenizer folder here")
    try:
        return AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder}: holds no tokenizer that transformers knows") from error


def load_encoder(folder: str | Path) -> T5EncoderModel:
    """Return the encoder half of a T5 checkpoint folder, in float32.

    Raises: InputError if a weight is missing, unexpected or misshapen.
    """
    encoder = T5EncoderModel(T5Config.from_dict(load_config(folder)))
    tensors = load_weights(folder)
    # files keep one or both of the two names of the token embedding; `embed_tokens` is the one used
    for name, other in [
        ("shared.weight", "encoder.embed_tokens.weight"),
        ("encoder.embed_tokens.weight", "shared.weight"),
    ]:
        if name not in tensors and other in tensors:
            tensors[name] = tensors[other]
    load_state(encoder, tensors, source=folder, ignore=DECODER)
    return encoder.eval()


def left_padded(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate each row of states [B, T, D] until its valid slots come last; pads become zero.

    `mask` [B, T] has ones at the valid slots, which come first. Returns states and mask.
    """
    length = mask.shape[1]
    slots = torch.arange(length, device=mask.device)
    source = (slots + mask.sum(dim=1, keepdim=True)) % length  # [B, T]
    states = states.gather(1, source[..., None].expand_as(states))
    mask = mask.gather(1, source)
    return states * mask[..., None].to(states.dtype), mask
