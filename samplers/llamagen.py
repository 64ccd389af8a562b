"""LlamaGen from prompts to pixels: condition, transformer, autoregressive loop, tokenizer.

A prompt is a caption (t2i) or names a class (c2i), as the transformer's weights tell.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from bakeoff.samplers.autoregressive import generate_tokens
from bakeoff.samplers.classes import Classes
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.jacobi import decode_jacobi
from bakeoff.samplers.networks.checkpoint import hash_model, load_state, load_weights
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.llamagen_sizes import image_side, read_sizes, read_tokenizer_sizes
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, resized, to_uint8
from bakeoff.samplers.networks.t5_text import T5TextEncoder
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, check_batch
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback

# entries that official files may hold besides their weights
TRANSFORMER_EXTRAS = ("freqs_cis",)
TOKENIZER_EXTRAS = ("quantize.codebook_used",)


class Condition(Protocol):
    """What prompts are to the transformer."""

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Return the condition [B, ...] of each prompt, and its mask if it is padded."""
        ...


class ClassCondition:
    """Prompts as the ids of the classes that they name."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, None]:
        """Return class ids [B].

        Raises: InputError if a prompt names no class.
        """
        return torch.tensor([self.classes.find(prompt) for prompt in prompts]), None


class LlamaGenSampler:
    """A LlamaGen: equal prompts, seeds and recipes give equal pixels in any batch."""

    family = "autoregressive"

    def __init__(
        self,
        name: str,
        weights_hash: str,
        text: Condition,
        network: LlamaGenTransformer,
        tokenizer: LlamaGenVQ,
        resolution: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.weights_hash = weights_hash
        self.text = text
        self.network = network
        self.tokenizer = tokenizer
        self.resolution = resolution

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        resolution: tuple[int, int] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> Self:
        """Load a folder with `gpt/` and `vq/`, each with official weights or ours.

        For captions it has the official `flan-t5-xl/`, or `text_encoder/` and `tokenizer/`; for
        classes it may have a `classes.json`. `resolution` is the height and width that images are
        resized to, as officially from 384 to 256 for evaluation; None leaves them as they are.
        `dtype` is that of the transformer alone; `compiled` has its layers compiled when they first
        decode.

        Raises: InputError if a part is missing, damaged or does not fit the others.
        """
        root = Path(folder)
        network, tokenizer = load_transformer(root / "gpt"), load_tokenizer(root / "vq")
        _check_tokens(root, network.config, tokenizer)
        text = _load_condition(root, network.config)
        modules: list[nn.Module] = [network, tokenizer]
        if isinstance(text, T5TextEncoder):
            modules.append(text.encoder)
        for module in modules:
            module.to(device).eval()
        network.to(dtype)
        if compiled:
            network.compile_layers()
        elif torch.device(device).type == "cpu":
            network.pack()
        weights_hash = hash_model(root, dtype, compiled)
        return cls(name or root.name, weights_hash, text, network, tokenizer, resolution)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        recipe: Recipe,
        callback: Callback | None = None,
    ) -> Generation:
        """Make one image per (prompt, seed) pair; `callback` sees the tokens after every step.

        Raises:
            InputError: the recipe does not suit the family or the model's length, prompts and
                seeds differ in number, or a prompt names no class.
        """
        recipe.check_family(self.family)
        recipe.check_length(self.network.config.block_size)
        check_batch(prompts, seeds)
        device = self.tokenizer.quantize.embedding.weight.device
        clock = Stopwatch(device)
        condition, mask = self.text.encode(prompts)
        clock.lap("text")
        streams, loop = Streams(seeds, device), generate_tokens
        if recipe.jacobi:
            loop = decode_jacobi
        drawn = loop(self.network, condition.to(device), mask, recipe, streams, callback, clock)
        grid = self.network.config.grid
        tokens = drawn.tokens.unflatten(1, (grid, grid)).cpu()
        clock.lap("draw")
        images = self._decode(tokens)
        clock.lap("decode")
        return Generation(
            images=images.numpy(),
            tokens=tokens.numpy(),
            row_evaluations=drawn.row_evaluations,
            network_calls=drawn.network_calls,
            seconds=clock.seconds(),
        )

    def _decode(self, tokens: Tensor) -> Tensor:
        """Return pixels [B, H, W, 3] uint8 of a token grid [B, h, w].

        One image at a time: convolutions round differently in batches of another size, and on a
        CPU larger batches are not faster.
        """
        device = self.tokenizer.quantize.embedding.weight.device
        images = [self.tokenizer.decode(grid[None].to(device)) for grid in tokens]
        if self.resolution not in (None, images[0].shape[2:]):
            images = [resized(image, self.resolution) for image in images]
        return to_uint8(torch.cat(images)).cpu()


def load_transformer(folder: str | Path) -> LlamaGenTransformer:
    """Return the transformer of a folder with weights and perhaps a `config.json`, in float32.

    Raises: InputError if the weights are missing or do not fit.
    """
    tensors = load_weights(folder)
    network = LlamaGenTransformer(read_sizes(folder, tensors))
    load_state(network, tensors, source=folder, ignore=TRANSFORMER_EXTRAS)
    return network.eval()


def load_tokenizer(folder: str | Path) -> LlamaGenVQ:
    """Return the image tokenizer of a folder with weights and perhaps a `config.json`, in float32.

    Raises: InputError if the weights are missing or do not fit.
    """
    tensors = load_weights(folder)
    tokenizer = LlamaGenVQ(read_tokenizer_sizes(folder, tensors))
    load_state(tokenizer, tensors, source=folder, ignore=TOKENIZER_EXTRAS)
    return tokenizer.eval()


def _load_condition(root: Path, config: LlamaGenConfig) -> ClassCondition | T5TextEncoder:
    if config.model_type == "c2i":
        return ClassCondition(Classes.from_folder(root, config.num_classes))
    official = root / "flan-t5-xl"
    parts = (
        (official, official) if official.is_dir() else (root / "text_encoder", root / "tokenizer")
    )
    text = T5TextEncoder.from_folder(*parts, length=config.cls_token_num)
    if text.dim != config.caption_dim:
        raise InputError(
            f"{root}: the text encoder gives {text.dim} channels, "
            f"but gpt's caption_dim is {config.caption_dim}"
        )
    return text


def _check_tokens(root: Path, config: LlamaGenConfig, tokenizer: LlamaGenVQ) -> None:
    if tokenizer.config.codebook_size != config.vocab_size:
        raise InputError(
            f"{root}: vq's codebook_size is {tokenizer.config.codebook_size}, "
            f"but gpt's vocab_size is {config.vocab_size}"
        )
    decoded, named = config.grid * tokenizer.config.downsampling, image_side(root / "gpt")
    if named not in (None, decoded):
        raise InputError(
            f"{root}: gpt's file is named for images of {named} pixels, but vq makes {decoded} "
            f"of {config.grid} tokens"
        )
