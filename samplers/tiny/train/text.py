"""Word-level tokenizers of the grammar, in the formats of CLIP and T5, and small text encoders."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import CLIPTextConfig, CLIPTokenizer, PreTrainedTokenizerFast, T5Config

from bakeoff.samplers.tiny import grammar
from bakeoff.samplers.tiny.world import COLORS, mask_count

LENGTH = 16  # text tokens; the longest caption has 11 words and two marks
WIDTH = 128


def write_clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write a CLIP tokenizer to `folder` in which every word of the grammar is one token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator([" ".join(grammar.words())], trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *map("".join, merges)]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    broken = [word for word in grammar.words() if len(tokenizer(word).input_ids) != 3]
    if broken:
        raise RuntimeError(f"the tokenizer splits the words {broken}")
    return tokenizer


def write_t5_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Write a T5 tokenizer to `folder`: a unigram model of the grammar's words and the letters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -2.0) for word in grammar.words()]
    pieces += [(letter, -10.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    unique = dict(pieces[::-1])  # the word "a" and the letter after its mark stay apart
    ordered = [(piece, unique[piece]) for piece in dict.fromkeys(p for p, _ in pieces)]
    tokenizer = Tokenizer(models.Unigram(ordered, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=LENGTH,
    )
    fast.save_pretrained(folder)
    return fast


def clip_text_config(tokenizer: CLIPTokenizer, projection: int) -> CLIPTextConfig:
    """Return a text tower of three blocks; the generator reads the output of the second."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        projection_dim=projection,
        hidden_act="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )


def t5_config(tokenizer: PreTrainedTokenizerFast) -> T5Config:
    """Return an encoder of three blocks in flan-t5's style."""
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        d_kv=32,
        d_ff=2 * WIDTH,
        num_layers=3,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        is_encoder_decoder=False,
    )


def factored_embedding(width: int, generator: torch.Generator) -> torch.Tensor:
    """Return initial vectors [V, width] of the patches: the sum of a mask's and a colour's vector.

    Patches of one form or of one colour start near each other, which no single patch's own
    vector would show; training is free to move them.
    """
    masks = torch.randn(mask_count(), 1, width, generator=generator)
    colors = torch.randn(1, len(COLORS), width, generator=generator)
    background = torch.randn(1, width, generator=generator)
    pairs = (masks + colors).flatten(0, 1) / 2**0.5
    return torch.cat([background, pairs])
