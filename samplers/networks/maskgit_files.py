"""A checkpoint folder of MaskGIT: which of the three published forms it holds, and its networks.

`MaskGIT/` holds the transformer's file and `VQGAN/` the tokenizer's, as published: training states
of PyTorch, Lightning or flax, or safetensors. No form brings a configuration that is needed; a
`config.json` beside the transformer tells the number of heads of other than the released widths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bakeoff.samplers.errors import InputError, shown
from bakeoff.samplers.networks import maskgit_halton, maskgit_jax, maskgit_v1
from bakeoff.samplers.networks.checkpoint import load_config, load_state, load_weights
from bakeoff.samplers.networks.flax_file import is_flax
from bakeoff.samplers.networks.flax_names import from_flax
from bakeoff.samplers.networks.llamagen_sizes import read_tokenizer_sizes
from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ
from bakeoff.samplers.networks.maskgit_halton import MaskGITHalton
from bakeoff.samplers.networks.maskgit_jax import MaskGITJax
from bakeoff.samplers.networks.maskgit_jax_vq import JaxVQ, JaxVQConfig
from bakeoff.samplers.networks.maskgit_v1 import MaskGITv1
from bakeoff.samplers.networks.vqgan import EXTRAS, VQGAN, VQGANConfig

TRANSFORMER, TOKENIZER = "MaskGIT", "VQGAN"  # folders
# How each form's layers name a weight of their attention.
MARKS = {"v1": "fn.mha.in_proj_weight", "halton": "attn.wq.weight", "jax": "/query/kernel"}
PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")  # of weights stored while wrapped, or twice
HALTON_EXTRAS = ("quantize.codebook_used",)  # of LlamaGen's tokenizer, in training

MaskGIT = MaskGITv1 | MaskGITHalton | MaskGITJax
Tokenizer = VQGAN | LlamaGenVQ | JaxVQ


@dataclass(frozen=True)
class Checkpoint:
    """The networks of a folder; `form` is v1, halton or jax."""

    form: str
    transformer: MaskGIT
    tokenizer: Tokenizer

    @property
    def factor(self) -> int:
        """Pixels a token covers along each side."""
        if isinstance(self.tokenizer, LlamaGenVQ):
            return self.tokenizer.config.downsampling
        return self.tokenizer.config.factor

    def decode(self, tokens: Tensor) -> Tensor:
        """Return images [B, 3, H, W], about in [0, 1], of tokens [B, h, w]."""
        image = self.tokenizer.decode(tokens)
        return image if self.form == "jax" else (image + 1) / 2


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read the networks of a checkpoint folder, every key and shape agreeing.

    Raises: InputError if a file is missing, damaged or of another architecture.
    """
    source, beside = Path(folder) / TRANSFORMER, Path(folder) / TOKENIZER
    tensors = _unwrapped(load_weights(source))
    form = _form(tensors, source)
    tokenizer = _load_tokenizer(form, beside)
    codes = tokenizer.config.codebook_size
    transformer: MaskGIT
    if form == "jax":
        transformer = MaskGITJax(maskgit_jax.read_sizes(tensors, source, codebook_size=codes))
        tensors = from_flax(tensors)
    elif form == "v1":
        heads = _heads(source)
        sizes = maskgit_v1.read_sizes(tensors, source, codebook_size=codes, heads=heads)
        transformer = MaskGITv1(sizes)
    else:
        heads = _heads(source)
        sizes = maskgit_halton.read_sizes(tensors, source, codebook_size=codes, heads=heads)
        transformer = MaskGITHalton(sizes)
    load_state(transformer, tensors, source=source)
    return Checkpoint(form, transformer.eval(), tokenizer.eval())


def is_original(folder: str | Path) -> bool:
    """Whether a checkpoint folder holds the original model, by its file's name; reads nothing."""
    return any(is_flax(file) for file in (Path(folder) / TRANSFORMER).glob("*"))


def _load_tokenizer(form: str, folder: Path) -> Tokenizer:
    tensors = load_weights(folder)
    if form == "v1":
        tokenizer = VQGAN(VQGANConfig.of(tensors, folder))
        load_state(tokenizer, tensors, source=folder, ignore=EXTRAS)
        return tokenizer
    if form == "halton":
        llamagen = LlamaGenVQ(read_tokenizer_sizes(folder, tensors))
        load_state(llamagen, tensors, source=folder, ignore=HALTON_EXTRAS)
        return llamagen
    original = JaxVQ(JaxVQConfig.of(tensors, folder))
    load_state(original, from_flax(tensors), source=folder)
    return original


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without the prefixes that training in parallel or compiled put before them."""
    named = dict(tensors)
    for prefix in PREFIXES:
        if named and all(key.startswith(prefix) for key in named):
            named = {key.removeprefix(prefix): tensor for key, tensor in named.items()}
    return named


def _form(tensors: Mapping[str, Tensor], source: Path) -> str:
    for form, mark in MARKS.items():
        if any(key.endswith(mark) for key in tensors):
            return form
    marks = ", ".join(repr(mark) for mark in MARKS.values())
    raise InputError(f"{source}: is no MaskGIT: no weight ends in {marks}")


def _heads(folder: Path) -> int | None:
    """Return the number of heads that a configuration beside the weights tells, if there is one.

    Raises: InputError if it is no whole number from 1.
    """
    if not (folder / "config.json").exists():
        return None
    heads = load_config(folder).get("heads")
    if heads is not None and (type(heads) is not int or heads < 1):
        raise InputError(
            f"{folder / 'config.json'}: heads must be a whole number from 1, got {shown(heads)}"
        )
    return heads
