"""Diffusion models, and aMUSEd, as baselines: a folder in diffusers' layout to pixels.

The loops are those of diffusers' pipelines. What they leave to the caller makes a sample depend on
its id alone: the starting noise and all draws after it come from the image's own streams, prompts
are encoded and pictures decoded one by one, and a CPU runs one image at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import hash_model, load_config
from bakeoff.samplers.networks.memory import keep_freed_memory
from bakeoff.samplers.pipelines import (
    Adapter,
    check_pipeline_recipe,
    find_adapter,
    forces_zeros,
)
from bakeoff.samplers.plugins import spelled
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, check_batch
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback

EXTRA = "pip install 'bakeoff[baselines]'"
OLD_BUFFERS = ("position_ids",)  # of text encoders, in files of older versions
VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
SCHEDULER = "scheduler"  # the purpose of what a scheduler draws, in a sample's streams


@dataclass
class Passes:
    """The passes of a network, and the batch rows in them."""

    calls: int = 0
    rows: int = 0


class DiffusionSampler:
    """A pipeline of diffusers that is loaded and ready."""

    family = "diffusion"

    def __init__(
        self,
        pipe: Any,
        adapter: Adapter,
        *,
        folder: Path,
        name: str,
        weights_hash: str,
        resolution: tuple[int, int],
    ) -> None:
        self.pipe, self.adapter, self.folder = pipe, adapter, folder
        self.name, self.weights_hash = name, weights_hash
        self.height, self.width = resolution
        self.network = getattr(pipe, adapter.network)
        self.decoder = getattr(pipe, adapter.decoder)
        self.device, self.dtype = self.decoder.device, self.network.dtype
        # A CPU gains nothing from more rows, and their bits would depend on how many there are.
        self.images_at_once = 1 if self.device.type == "cpu" else None  # None: the whole batch

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
        bits: int | None = None,
    ) -> Self:
        """Read a folder in diffusers' layout; `resolution` is (height, width) in pixels.

        Without a resolution the configuration's is taken. `dtype` is that of the network and the
        text encoders; pictures are decoded in float32. `bits` quantizes the network to 8 or 4 of
        them on a GPU; `compiled` has it compiled when it first runs.

        Raises:
            InputError: diffusers or what quantizes is missing, the folder holds no pipeline that is
                known, a file is missing or does not fit, or the resolution does not.
        """
        folder, device = Path(folder), torch.device(device)
        adapter, classes = find_adapter(folder)
        if find_spec("diffusers") is None:
            raise InputError(f"{folder} needs diffusers, which is not installed: {EXTRA}")
        _quieten()
        options = _quantized(bits, device, dtype) if bits else {}
        if device.type == "cpu":
            keep_freed_memory()
        parts: dict[str, Any] = {}
        for part, (library, _) in adapter.parts().items():
            of_network = options if part == adapter.network else {}
            kind = torch.float32 if part == adapter.decoder else dtype
            parts[part] = _load(folder / part, library, classes[part], device, kind, of_network)
        pipe = _pipeline(adapter, folder, parts)
        network = parts[adapter.network]
        if compiled:
            network.forward = torch.compile(network.forward)
        found = resolution or _resolution(adapter, pipe)
        _check_resolution(found, pipe.vae_scale_factor * adapter.patch)
        return cls(
            pipe,
            adapter(),
            folder=folder,
            name=name or folder.name,
            weights_hash=hash_model(folder, dtype, compiled, bits),
            resolution=found,
        )

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        recipe: Recipe,
        callback: Callback | None = None,
    ) -> Generation:
        """Make one image per (prompt, seed) pair; there are no steps of tokens for a `callback`.

        Raises:
            InputError: the recipe does not suit the family or the model, or prompts and seeds
                differ in number.
        """
        recipe.check_family(self.family)
        check_pipeline_recipe(self.folder, recipe)
        check_batch(prompts, seeds)
        clock = Stopwatch(self.device)
        texts = self._embed(prompts, recipe)
        clock.lap("text")
        size = self.images_at_once or len(prompts)
        latents = []
        with _metered(self.network, clock) as passes:
            for first in range(0, len(prompts), size):
                some = slice(first, first + size)
                told = {name: rows[some] for name, rows in texts.items()}
                latents.append(self._run(told, seeds[some], recipe))
        clock.lap("draw")
        images = [self._decode(one) for batch in latents for one in batch.split(1)]
        clock.lap("decode")
        calls = passes.calls // len(latents)
        return Generation(
            images=np.stack(images),
            tokens=self._tokens(torch.cat(latents)),
            row_evaluations=np.full(len(prompts), passes.rows // len(prompts)),
            network_calls=np.full(len(prompts), calls),
            seconds=clock.seconds(),
        )

    def _embed(self, prompts: Sequence[str], recipe: Recipe) -> dict[str, Tensor]:
        """Return what the call is told of prompts, [B, ...] each; each distinct is encoded once."""
        known = {text: self.adapter.embed(self.pipe, text) for text in dict.fromkeys(prompts)}
        names = self.adapter.embedded
        told = dict(zip(names, _joined([known[text] for text in prompts]), strict=True))
        if self.adapter.guides_by_rows(recipe):
            negative = self.adapter.embed_negative(self.pipe, recipe.negative_prompt)
            against = [f"negative_{name}" for name in names]
            told |= zip(against, _joined([negative] * len(prompts)), strict=True)
        return told

    def _run(self, told: Mapping[str, Tensor], seeds: Sequence[int], recipe: Recipe) -> Tensor:
        """Return the last latents of images, or their tokens, from the pipeline's own loop."""
        streams = Streams(seeds, self.device)
        start = self.adapter.start(self.pipe, streams, *self._latent_size())
        return self.pipe(
            **told,
            latents=None if start is None else start.to(self.dtype),
            generator=streams.generators(SCHEDULER),
            num_inference_steps=recipe.steps,
            guidance_scale=recipe.guidance_scale,
            height=self.height,
            width=self.width,
            output_type="latent",
            return_dict=False,
        )[0]

    def _decode(self, latents: Tensor) -> np.ndarray:
        """Return pixels [H, W, 3] of one image's latents [1, ...], rounded as diffusers does."""
        if not self.adapter.draws_tokens:
            latents = latents.to(self.decoder.dtype)
        image = self.adapter.pixels(self.pipe, latents, *self._latent_size())
        (picture,) = self.pipe.image_processor.postprocess(image, output_type="pil")
        return np.asarray(picture)

    def _tokens(self, latents: Tensor) -> np.ndarray:
        """Return tokens [B, h, w]; none, [B, 0, 0], of a model that draws no tokens."""
        if self.adapter.draws_tokens:
            return latents.cpu().numpy()
        return np.zeros((len(latents), 0, 0), dtype=np.int64)

    def _latent_size(self) -> tuple[int, int]:
        factor = self.pipe.vae_scale_factor
        return self.height // factor, self.width // factor


def _quieten() -> None:
    """Hold back bars, and warnings of prompts that are cut and pipelines no longer developed."""
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _load(
    folder: Path,
    library: str,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    options: Mapping[str, Any],
) -> Any:
    """Return a part of a pipeline: a network on its device, a tokenizer or a scheduler.

    Raises:
        InputError: its files are missing, damaged or not those of its configuration.
    """
    kind = getattr(import_module(library), name)
    if not issubclass(kind, torch.nn.Module):
        if library == "transformers":
            _check_vocabulary(folder)
        return _read(folder, lambda: kind.from_pretrained(str(folder), local_files_only=True))
    load_config(folder)  # which says more clearly than libraries what is wrong
    ways = {"dtype" if library == "transformers" else "torch_dtype": dtype, **options}
    network, told = _read(
        folder,
        lambda: kind.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **ways,
        ),
    )
    _check_keys(told, folder)
    _check_finite(network, folder)
    # Without accelerate, diffusers leaves weights in the dtype of their file.
    return network.eval() if options else torch.nn.Module.to(network.eval(), device, dtype)


def _check_vocabulary(folder: Path) -> None:
    """Refuse a folder without words, of which transformers makes a tokenizer that knows none."""
    for files in VOCABULARIES:
        if all((folder / file).is_file() for file in files):
            return
    wanted = " or ".join(" and ".join(files) for files in VOCABULARIES)
    raise InputError(f"{folder}: there is no vocabulary, which is {wanted}")


def _read(folder: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # of several libraries, each with errors of its own
        raise InputError(f"{folder}: cannot be read ({spelled(error)})") from error


def _check_keys(told: Mapping[str, Any], folder: Path) -> None:
    """Refuse what libraries only warn of: weights left at random, or not used."""
    for fault in ("missing", "unexpected", "mismatched"):
        keys = sorted(map(str, told[f"{fault}_keys"]))
        if wrong := [key for key in keys if not key.endswith(OLD_BUFFERS)]:
            raise InputError(f"{folder}: the weight {wrong[0]!r} is {fault}")


def _check_finite(network: torch.nn.Module, folder: Path) -> None:
    for key, weight in network.named_parameters():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise InputError(f"{folder}: the weight {key!r} holds infinities or no numbers")


def _pipeline(adapter: type[Adapter], folder: Path, parts: dict[str, Any]) -> Any:
    """Return a pipeline of its parts."""
    import diffusers

    options = {}
    if adapter.pipeline == "StableDiffusionXLPipeline":
        options = {
            "force_zeros_for_empty_prompt": forces_zeros(folder),
            "add_watermarker": False,  # else whether there is one depends on the machine
        }
    pipe = getattr(diffusers, adapter.pipeline)(**parts, **options)
    pipe.set_progress_bar_config(disable=True)
    if adapter.draws_tokens:
        pipe.scheduler.step = _one_by_one(pipe.scheduler.step)
    return pipe


def _one_by_one(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the step of a scheduler of tokens for a batch, each image drawn by its generator."""

    def stepped(
        model_output: Tensor, timestep: Any, sample: Tensor, generator: Sequence[torch.Generator]
    ) -> Any:
        images = zip(model_output.split(1), sample.split(1), generator, strict=True)
        found = [step(logits, timestep, tokens, generator=one) for logits, tokens, one in images]
        return type(found[0])(prev_sample=torch.cat([one.prev_sample for one in found]))

    return stepped


def _quantized(bits: int, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return how diffusers loads a network quantized by bitsandbytes.

    Four bits are those of the SD 3.5 model card: NF4, computed in bfloat16.

    Raises:
        InputError: there is no GPU, no bitsandbytes, or another dtype or number of bits.
    """
    if bits not in (4, 8):
        raise InputError(f"bits must be 4 or 8, got {bits}")
    if device.type != "cuda":
        raise InputError(f"weights of {bits} bits run on a GPU only, and this is a {device.type}")
    for library in ("bitsandbytes", "accelerate"):
        if find_spec(library) is None:
            raise InputError(
                f"weights of {bits} bits need {library}, which is not installed: "
                "pip install 'bakeoff[baselines,gpu]'"
            )
    if dtype != torch.bfloat16:
        raise InputError(f"weights of {bits} bits compute in bfloat16: set dtype: bfloat16")
    from diffusers import BitsAndBytesConfig

    kind: dict[str, Any] = {"load_in_8bit": True}
    if bits == 4:
        kind = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": dtype,
        }
    return {"quantization_config": BitsAndBytesConfig(**kind), "device_map": {"": device}}


@contextmanager
def _metered(network: torch.nn.Module, clock: Stopwatch) -> Iterator[Passes]:
    """Count a network's passes; time in it goes to the stage `network`, before it to `draw`."""
    passes = Passes()

    def before(module: torch.nn.Module, arguments: Any) -> None:
        clock.lap("draw")

    def after(module: torch.nn.Module, arguments: Any, output: Any) -> None:
        clock.lap("network")
        passes.calls += 1
        passes.rows += len(output[0] if isinstance(output, tuple) else output)

    hooks = [network.register_forward_pre_hook(before), network.register_forward_hook(after)]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def _resolution(adapter: type[Adapter], pipe: Any) -> tuple[int, int]:
    """Return the size of pictures that the configuration tells; FLUX.1's is its decoder's."""
    latents = getattr(pipe, adapter.network).config.get("sample_size")
    side = latents * pipe.vae_scale_factor if latents else pipe.vae.config.sample_size
    return side, side


def _check_resolution(resolution: tuple[int, int], unit: int) -> None:
    if any(side < unit or side % unit for side in resolution):
        height, width = resolution
        raise InputError(
            f"resolution {height}x{width} must be whole multiples of {unit} pixels for this model"
        )


def _joined(rows: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """Return arguments of a batch [B, ...] from those of its images [1, ...]."""
    return [torch.cat(columns) for columns in zip(*rows, strict=True)]
