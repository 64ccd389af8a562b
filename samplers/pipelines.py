"""The pipelines of diffusers that are known: what their folders hold, and what each is told.

Nothing here imports diffusers or torch, so that a folder can be told and a recipe be checked
without waiting for them. `pipe` is a loaded pipeline of the class that an adapter is for.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bakeoff.samplers.errors import InputError, cut, shown, unknown
from bakeoff.samplers.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from bakeoff.samplers.streams import Streams

INDEX = "model_index.json"
CLIP, CLIP_PROJECTED = "CLIPTextModel", "CLIPTextModelWithProjection"
CLIP_TOKENS = ("CLIPTokenizer", "CLIPTokenizerFast")
T5_TOKENS = ("T5Tokenizer", "T5TokenizerFast")
# Of each, whatever it draws after the start comes from the generators that it is given.
SCHEDULERS = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "LCMScheduler",
)
LATENTS = "latents"  # the purpose of the starting noise in a sample's streams
Kind = tuple[str, ...]  # classes that a part may have


class Adapter:
    """What a pipeline's folder holds, and how it is told of prompts and noise and gives pixels.

    `network` names the part that is called in every step; `embedded` the arguments of the call
    that `embed` returns, each with a `negative_` twin where the network is guided by two rows.
    """

    pipeline: ClassVar[str]
    network: ClassVar[str] = "transformer"
    network_class: ClassVar[str]
    decoder: ClassVar[str] = "vae"
    decoder_class: ClassVar[str] = "AutoencoderKL"
    schedulers: ClassVar[Kind]
    texts: ClassVar[dict[str, Kind]]  # text encoders and their tokenizers
    embedded: ClassVar[tuple[str, ...]] = ("prompt_embeds", "pooled_prompt_embeds")
    patch = 1  # latents a side that the network takes as one
    draws_tokens = False

    @classmethod
    def parts(cls) -> dict[str, tuple[str, Kind]]:
        """Return each part's library and the classes that it may have."""
        texts = {part: ("transformers", kinds) for part, kinds in cls.texts.items()}
        return texts | {
            cls.network: ("diffusers", (cls.network_class,)),
            cls.decoder: ("diffusers", (cls.decoder_class,)),
            "scheduler": ("diffusers", cls.schedulers),
        }

    @classmethod
    def check(cls, folder: Path, recipe: Recipe) -> None:
        """Check that a recipe suits the network's configuration.

        Raises:
            InputError: it does not.
        """

    @classmethod
    def guides_by_rows(cls, recipe: Recipe) -> bool:
        """Whether guidance takes a second row, of the negative or empty prompt."""
        return recipe.guidance_scale > 1

    def embed(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return the arguments `embedded` of one prompt, [1, ...] each."""
        raise NotImplementedError

    def embed_negative(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return the same of a negative prompt."""
        return self.embed(pipe, text)

    def start(self, pipe: Any, streams: "Streams", height: int, width: int) -> "Tensor | None":
        """Return the starting latents of images of so many latents a side; None: all unknown."""
        channels = getattr(pipe, self.network).config.in_channels
        return streams.normal(LATENTS, 0, (channels, height, width))

    def pixels(self, pipe: Any, latents: "Tensor", height: int, width: int) -> "Tensor":
        """Return the decoder's picture [1, 3, H, W] of one image's latents."""
        config = pipe.vae.config
        return pipe.vae.decode(latents / config.scaling_factor + (config.shift_factor or 0.0))[0]


class StableDiffusionXL(Adapter):
    """SDXL: a U-Net told of two CLIP encoders."""

    pipeline, network, network_class = "StableDiffusionXLPipeline", "unet", "UNet2DConditionModel"
    schedulers = SCHEDULERS
    texts: ClassVar = {
        "text_encoder": (CLIP,),
        "tokenizer": CLIP_TOKENS,
        "text_encoder_2": (CLIP_PROJECTED,),
        "tokenizer_2": CLIP_TOKENS,
    }

    def embed(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return hidden states and the pooled vector."""
        states, _, pooled, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False)
        return states, pooled

    def embed_negative(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return the same; zeros for no text, where the folder says that it was trained so."""
        found = self.embed(pipe, text)
        if not text and pipe.config.force_zeros_for_empty_prompt:
            return tuple(one.new_zeros(one.shape) for one in found)
        return found

    def pixels(self, pipe: Any, latents: "Tensor", height: int, width: int) -> "Tensor":
        """Return the picture; some finetunes say mean and deviation of each channel."""
        config = pipe.vae.config
        if config.latents_mean is None or config.latents_std is None:
            return super().pixels(pipe, latents, height, width)
        mean, deviation = (
            latents.new_tensor(numbers).view(1, -1, 1, 1)
            for numbers in (config.latents_mean, config.latents_std)
        )
        return pipe.vae.decode(latents * deviation / config.scaling_factor + mean)[0]


class StableDiffusion3(Adapter):
    """Stable Diffusion 3 and 3.5: a transformer told of two CLIP encoders and a T5."""

    pipeline, network_class = "StableDiffusion3Pipeline", "SD3Transformer2DModel"
    schedulers = ("FlowMatchEulerDiscreteScheduler",)
    texts: ClassVar = {
        "text_encoder": (CLIP_PROJECTED,),
        "tokenizer": CLIP_TOKENS,
        "text_encoder_2": (CLIP_PROJECTED,),
        "tokenizer_2": CLIP_TOKENS,
        "text_encoder_3": ("T5EncoderModel",),
        "tokenizer_3": T5_TOKENS,
    }
    patch = 2

    def embed(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return hidden states and the pooled vector."""
        states, _, pooled, _ = pipe.encode_prompt(
            text, None, None, do_classifier_free_guidance=False
        )
        return states, pooled


class Flux(Adapter):
    """FLUX.1: a transformer told of a CLIP encoder's vector and a T5's states."""

    pipeline, network_class = "FluxPipeline", "FluxTransformer2DModel"
    schedulers = ("FlowMatchEulerDiscreteScheduler",)
    texts: ClassVar = {
        "text_encoder": (CLIP,),
        "tokenizer": CLIP_TOKENS,
        "text_encoder_2": ("T5EncoderModel",),
        "tokenizer_2": T5_TOKENS,
    }
    patch = 2

    @classmethod
    def check(cls, folder: Path, recipe: Recipe) -> None:
        """Check that guidance is asked for only of a network that was taught its scale (dev)."""
        if recipe.negative_prompt:
            raise InputError(
                "recipe negative_prompt does not apply to FLUX.1: it is told the guidance scale "
                "and sees no second prompt"
            )
        config = _read_json(folder / "transformer/config.json")
        if recipe.guidance_scale != 1 and not config.get("guidance_embeds"):
            raise InputError(
                f"recipe guidance_scale={recipe.text_of('guidance_scale')} does not apply to "
                "FLUX.1-schnell: it was distilled to run without guidance; leave it out"
            )

    @classmethod
    def guides_by_rows(cls, recipe: Recipe) -> bool:
        """Return False: the scale is an input of the network."""
        return False

    def embed(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return hidden states and the pooled vector; schnell was trained on half the length."""
        length = 512 if pipe.transformer.config.guidance_embeds else 256
        states, pooled, _ = pipe.encode_prompt(text, max_sequence_length=length)
        return states, pooled

    def start(self, pipe: Any, streams: "Streams", height: int, width: int) -> "Tensor":
        """Return the starting latents, each 2 × 2 of them side by side: [B, h/2 · w/2, 4C]."""
        channels = pipe.transformer.config.in_channels // 4
        noise = streams.normal(LATENTS, 0, (channels, height, width))
        blocks = noise.unflatten(3, (width // 2, 2)).unflatten(2, (height // 2, 2))
        # [B, C, h/2, 2, w/2, 2]
        return blocks.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def pixels(self, pipe: Any, latents: "Tensor", height: int, width: int) -> "Tensor":
        """Return the picture, the latents put in their places again."""
        blocks = latents.unflatten(1, (height // 2, width // 2)).unflatten(3, (-1, 2, 2))
        # [1, h/2, w/2, C, 2, 2]
        latents = blocks.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
        return super().pixels(pipe, latents, height, width)


class Amused(Adapter):
    """aMUSEd, Meissonic's ancestor: a masked transformer, in the place of a diffusion model."""

    pipeline, network_class = "AmusedPipeline", "UVit2DModel"
    decoder, decoder_class = "vqvae", "VQModel"
    schedulers = ("AmusedScheduler",)
    texts: ClassVar = {"text_encoder": (CLIP_PROJECTED,), "tokenizer": CLIP_TOKENS}
    embedded = ("prompt_embeds", "encoder_hidden_states")
    draws_tokens = True

    def embed(self, pipe: Any, text: str) -> tuple["Tensor", ...]:
        """Return the pooled vector and the hidden states."""
        length = pipe.tokenizer.model_max_length
        options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        ids = pipe.tokenizer(text, max_length=length, **options).input_ids
        found = pipe.text_encoder(ids.to(pipe.text_encoder.device), output_hidden_states=True)
        return found.text_embeds, found.hidden_states[-2]

    def start(self, pipe: Any, streams: "Streams", height: int, width: int) -> None:
        """Return nothing: all tokens are masked."""

    def pixels(self, pipe: Any, latents: "Tensor", height: int, width: int) -> "Tensor":
        """Return the picture of tokens [1, h, w]."""
        shape = (1, height, width, pipe.vqvae.config.latent_channels)
        return pipe.vqvae.decode(latents, force_not_quantize=True, shape=shape).sample.clip(0, 1)


ADAPTERS: dict[str, type[Adapter]] = {
    one.pipeline: one for one in (StableDiffusionXL, StableDiffusion3, Flux, Amused)
}


def is_pipeline(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a known pipeline."""
    try:
        return _read_json(folder / INDEX).get("_class_name") in ADAPTERS
    except InputError:
        return False


def find_adapter(folder: Path) -> tuple[type[Adapter], dict[str, str]]:
    """Return the adapter of a folder's pipeline, and the class of each part.

    Only classes that a pipeline is known to have are taken: the index is untrusted, and diffusers
    would import what it names.

    Raises:
        InputError: the index is missing, or names another pipeline or part.
    """
    index = _read_json(folder / INDEX)
    name = index.get("_class_name")
    if name not in ADAPTERS:
        raise unknown(f"{folder / INDEX}: pipeline", cut(name), ADAPTERS)
    adapter, classes = ADAPTERS[name], {}
    parts = adapter.parts()
    for part, (library, kinds) in parts.items():
        named = index.get(part)
        if named not in [[library, kind] for kind in kinds]:
            wanted = " or ".join(kinds)
            raise InputError(
                f"{folder / INDEX}: {part} must be {wanted} of {library}, got {shown(named)}"
            )
        classes[part] = named[1]
    for part, named in index.items():
        if part not in parts and isinstance(named, list) and any(named):
            raise InputError(f"{folder / INDEX}: {cut(part)} is no part of a {name} known here")
    scheduler = _read_json(folder / "scheduler/scheduler_config.json")
    if scheduler.get("stochastic_sampling"):
        raise InputError(
            f"{folder}: its scheduler has stochastic_sampling, which draws a batch at once and so "
            "makes an image depend on its neighbours"
        )
    return adapter, classes


def networks(folder: Path) -> list[str]:
    """Return the parts of a folder's pipeline that have weights.

    Raises:
        InputError: the index is not right.
    """
    adapter, _ = find_adapter(folder)
    texts = [part for part in adapter.texts if part.startswith("text_encoder")]
    return [adapter.network, adapter.decoder, *texts]


def forces_zeros(folder: Path) -> bool:
    """Whether SDXL's empty negative prompt is zeros, as the folder says or by default."""
    return bool(_read_json(folder / INDEX).get("force_zeros_for_empty_prompt", True))


def check_pipeline_recipe(folder: Path, recipe: Recipe) -> None:
    """Check that a recipe suits the pipeline in a folder; loads nothing.

    Raises:
        InputError: it does not, or the folder is not right.
    """
    adapter, _ = find_adapter(folder)
    adapter.check(folder, recipe)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{file}: is not JSON ({cut(str(error))})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: must hold a JSON object")
    return content
