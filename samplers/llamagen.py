"""LlamaGen from prompts to pixels: text encoder, transformer, autoregressive loop, tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from bakeoff.samplers.autoregressive import generate_tokens
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.jacobi import decode_jacobi
from bakeoff.samplers.networks.checkpoint import hash_model, load_config, load_state, load_weights
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig, to_uint8
from bakeoff.samplers.networks.t5_text import T5TextEncoder
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, check_batch
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback

# entries that official files may hold besides their weights
TRANSFORMER_EXTRAS = ("freqs_cis",)
TOKENIZER_EXTRAS = ("quantize.codebook_used",)


class LlamaGenSampler:
    """A text-to-image LlamaGen: equal prompts, seeds and recipes give equal pixels in any batch."""

    family = "autoregressive"

    def __init__(
        self,
        name: str,
        weights_hash: str,
        text: T5TextEncoder,
        network: LlamaGenTransformer,
        tokenizer: LlamaGenVQ,
    ) -> None:
        self.name = name
        self.weights_hash = weights_hash
        self.text = text
        self.network = network
        self.tokenizer = tokenizer

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> Self:
        """Load `gpt/`, `vq/`, `text_encoder/` and `tokenizer/` of a folder.

        `dtype` is that of the transformer alone; `compiled` has its layers compiled when they first
        decode.

        Raises: InputError if a part is missing, damaged or does not fit the others.
        """
        root = Path(folder)
        config = LlamaGenConfig.from_dict(load_config(root / "gpt"))
        if config.model_type != "t2i":
            raise InputError(f"{root}: model_type {config.model_type!r} does not take prompts")
        network, tokenizer = LlamaGenTransformer(config), load_tokenizer(root / "vq")
        load_state(
            network, load_weights(root / "gpt"), source=root / "gpt", ignore=TRANSFORMER_EXTRAS
        )
        text = T5TextEncoder.from_folder(
            root / "text_encoder", root / "tokenizer", length=config.cls_token_num
        )
        _check_sizes(root, config, text, tokenizer)
        modules: tuple[nn.Module, ...] = (network, tokenizer, text.encoder)
        for module in modules:
            module.to(device).eval()
        network.to(dtype)
        if compiled:
            network.compile_layers()
        elif torch.device(device).type == "cpu":
            network.pack()
        weights_hash = hash_model(root, dtype, compiled)
        return cls(name or root.name, weights_hash, text, network, tokenizer)

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
            InputError: the recipe does not suit the family or the model's length, or prompts and
                seeds differ in number.
        """
        recipe.check_family(self.family)
        recipe.check_length(self.network.config.block_size)
        check_batch(prompts, seeds)
        clock = Stopwatch(self.tokenizer.quantize.embedding.weight.device)
        states, mask = self.text.encode(prompts)
        clock.lap("text")
        streams, loop = Streams(seeds, states.device), generate_tokens
        if recipe.jacobi:
            loop = decode_jacobi
        drawn = loop(self.network, states, mask, recipe, streams, callback, clock)
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
        return to_uint8(torch.cat(images)).cpu()


def load_tokenizer(folder: str | Path) -> LlamaGenVQ:
    """Return the image tokenizer of a folder with `config.json` and weights, in float32.

    Raises: InputError if either is missing or they do not fit.
    """
    tokenizer = LlamaGenVQ(LlamaGenVQConfig.from_dict(load_config(folder)))
    load_state(tokenizer, load_weights(folder), source=folder, ignore=TOKENIZER_EXTRAS)
    return tokenizer.eval()


def _check_sizes(
    root: Path, config: LlamaGenConfig, text: T5TextEncoder, tokenizer: LlamaGenVQ
) -> None:
    if text.dim != config.caption_dim:
        raise InputError(
            f"{root}: the text encoder gives {text.dim} channels, "
            f"but gpt's caption_dim is {config.caption_dim}"
        )
    if tokenizer.config.codebook_size != config.vocab_size:
        raise InputError(
            f"{root}: vq's codebook_size is {tokenizer.config.codebook_size}, "
            f"but gpt's vocab_size is {config.vocab_size}"
        )
