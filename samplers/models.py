"""The models that are known by name: one declarative entry each.

Recipes are the defaults of the papers and official scripts. A revision is a commit that many
independent projects pin; None is the newest, whose commit `bakeoff fetch` notes. A licence is
unknown where the makers' code and papers do not tell it. Sizes are about.
"""

from pathlib import Path

from bakeoff.samplers.architectures import DIFFUSERS, LLAMAGEN, MASKGIT, MEISSONIC
from bakeoff.samplers.combinations import FAMILIES
from bakeoff.samplers.errors import cut, shown, unknown
from bakeoff.samplers.maskgit_recipes import PUBLISHED
from bakeoff.samplers.model_entry import TINY_WEIGHTS, ModelEntry, Source
from bakeoff.samplers.plugins import Registry
from bakeoff.samplers.recipe import Recipe

# Meissonic's script. Monetico, the 512 release, is run by the same.
NEGATIVE_PROMPT = (
    "worst quality, low quality, low res, blurry, distortion, watermark, logo, signature, text, "
    "jpeg artifacts, signature, sketch, duplicate, ugly, identifying mark"
)
MEISSONIC_RECIPE = Recipe(steps=64, guidance_scale=9.0, negative_prompt=NEGATIVE_PROMPT)
MEISSONIC_PARTS = (
    *("transformer/*.json", "transformer/*.safetensors", "vqvae/*.json", "vqvae/*.safetensors"),
    *("tokenizer/*.json", "tokenizer/merges.txt"),
)

TINY = (
    ModelEntry(
        name="tiny-meissonic",
        architecture=MEISSONIC,
        location=TINY_WEIGHTS / "tiny-meissonic",
        recipe=Recipe.from_text("steps=16 guidance_scale=2"),
        resolution=64,
        licence="Apache-2.0",
        description="Masked transformer of the Meissonic architecture for scenes of shapes",
    ),
    ModelEntry(
        name="tiny-llamagen",
        architecture=LLAMAGEN,
        location=TINY_WEIGHTS / "tiny-llamagen",
        recipe=Recipe.from_text("guidance_scale=1.5"),
        resolution=64,
        licence="Apache-2.0",
        description="Autoregressive transformer of the LlamaGen architecture for the same scenes",
    ),
    ModelEntry(
        name="tiny-llamagen-c2i",
        architecture=LLAMAGEN,
        location=TINY_WEIGHTS / "tiny-llamagen-c2i",
        recipe=Recipe.from_text("guidance_scale=1.5"),
        resolution=64,
        licence="Apache-2.0",
        description="The same for 36 classes, such as a red circle, in place of captions",
    ),
    ModelEntry(
        name="tiny-maskgit",
        architecture=MASKGIT,
        location=TINY_WEIGHTS / "tiny-maskgit",
        recipe=Recipe.from_text("steps=16 guidance_scale=2"),
        resolution=64,
        licence="Apache-2.0",
        description="Masked transformer of MaskGIT's PyTorch reproduction for the same 36 classes",
    ),
)

MEISSONICS = (
    ModelEntry(
        name="meissonic-1024",
        architecture=MEISSONIC,
        recipe=MEISSONIC_RECIPE,
        resolution=1024,
        description="Meissonic, which most of the paper measures; text encoder: OpenCLIP ViT-H/14",
        sources=(
            Source("MeissonFlow/Meissonic", MEISSONIC_PARTS),
            # as in the official scripts: they find sampling more stable than with the release's own
            Source(
                "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
                ("config.json", "model.safetensors"),
                into="text_encoder",
                revision="1c2b8495b28150b8a4922ee1c8edee224c284c0c",
            ),
        ),
        memory_gb=12,
        download_gb=8.6,
    ),
    ModelEntry(
        name="meissonic-512",
        architecture=MEISSONIC,
        recipe=MEISSONIC_RECIPE,
        resolution=512,
        description="Monetico, the Meissonic of 512 pixels, with the text encoder of its release",
        sources=(
            Source(
                "Collov-Labs/Monetico",
                (*MEISSONIC_PARTS, "text_encoder/*.json", "text_encoder/*.safetensors"),
            ),
        ),
        download_gb=6.0,
    ),
)

# The files and sizes of LlamaGen's releases; each is run as its makers measured it.
T5_XL = Source(
    "google/flan-t5-xl",
    (
        *("config.json", "model.safetensors.index.json", "model-*.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model"),
    ),
    into="flan-t5-xl",
    revision="7d6315df2c2fb742f0f5b556879d730926ca9001",
)


def _llamagen_c2i(size: str, side: int, guidance_scale: float, gigabytes: float) -> ModelEntry:
    """Return the entry of a class-conditional release; it has no file but the two."""
    return ModelEntry(
        name=f"llamagen-c2i-{size.lower()}-{side}",
        architecture=LLAMAGEN,
        recipe=Recipe(guidance_scale=guidance_scale),
        resolution=side,
        licence="MIT",
        description=f"LlamaGen-{size} for ImageNet's classes at {side} pixels",
        sources=(
            Source("FoundationVision/LlamaGen", (f"c2i_{size}_{side}.pt",), into="gpt"),
            Source("FoundationVision/LlamaGen", ("vq_ds16_c2i.pt",), into="vq"),
        ),
        memory_gb=gigabytes,
        download_gb=gigabytes,
    )


def _llamagen_t2i(stage: int, side: int) -> ModelEntry:
    """Return the entry of a text-conditional release, which is LlamaGen-XL."""
    return ModelEntry(
        name=f"llamagen-t2i-{side}",
        architecture=LLAMAGEN,
        recipe=Recipe(guidance_scale=7.5, top_k=1000),
        resolution=side,
        licence="MIT, Apache-2.0",
        description=f"LlamaGen-XL for captions at {side} pixels; text encoder: flan-t5-xl",
        sources=(
            Source("peizesun/llamagen_t2i", (f"t2i_XL_stage{stage}_{side}.pt",), into="gpt"),
            Source("peizesun/llamagen_t2i", ("vq_ds16_t2i.pt",), into="vq"),
            T5_XL,
        ),
        memory_gb=8.3,
        download_gb=14.8,
    )


LLAMAGENS = (
    _llamagen_c2i("B", 256, 2.0, 0.7),
    _llamagen_c2i("B", 384, 2.0, 0.7),
    _llamagen_c2i("L", 256, 2.0, 1.7),
    _llamagen_c2i("L", 384, 2.0, 1.7),
    _llamagen_c2i("XL", 384, 1.75, 3.4),
    _llamagen_c2i("XXL", 384, 1.75, 5.9),
    _llamagen_c2i("3B", 384, 1.65, 12.7),
    _llamagen_t2i(1, 256),
    _llamagen_t2i(2, 512),
)

# MaskGIT's three published forms. Training states, which some files are, are larger than weights.
V1_RELEASE = "pretrained_maskgit"


def _maskgit_v1(side: int) -> ModelEntry:
    names = (f"{V1_RELEASE}/MaskGIT/MaskGIT_ImageNet_{side}.pth", f"{V1_RELEASE}/VQGAN/last.ckpt")
    return ModelEntry(
        name=f"maskgit-{side}",
        architecture=MASKGIT,
        recipe=Recipe.from_text(PUBLISHED[f"v1-{side}"]),
        resolution=side,
        licence="MIT",
        description=f"MaskGIT in PyTorch, version 1, for ImageNet's classes at {side} pixels",
        sources=(Source("llvictorll/Maskgit-pytorch", names, within=V1_RELEASE),),
        memory_gb=1.0,
        download_gb=3.1,
    )


def _maskgit_halton(size: str, side: int, memory_gb: float) -> ModelEntry:
    return ModelEntry(
        name=f"maskgit-halton-{size}-{side}",
        architecture=MASKGIT,
        recipe=Recipe.from_text(PUBLISHED[f"halton-{size}"]),
        resolution=side,
        licence="MIT",
        description=f"Halton-MaskGIT, version 2, {size}, for ImageNet's classes at {side} pixels",
        sources=(
            Source("llvictorll/Halton-MaskGIT", (f"ImageNet_{side}_{size}.pth",), into="MaskGIT"),
            Source("FoundationVision/LlamaGen", ("vq_ds16_c2i.pt",), into="VQGAN"),
        ),
        memory_gb=memory_gb,
    )


def _maskgit_jax(side: int) -> ModelEntry:
    place = "https://storage.googleapis.com/maskgit-public/checkpoints"
    return ModelEntry(
        name=f"maskgit-jax-{side}",
        architecture=MASKGIT,
        recipe=Recipe.from_text(PUBLISHED["jax"]),
        resolution=side,
        licence="Apache-2.0",
        description=f"The original MaskGIT, for ImageNet's classes at {side} pixels",
        sources=(
            Source(place, (f"maskgit_imagenet{side}_checkpoint",), into="MaskGIT"),
            Source(place, (f"tokenizer_imagenet{side}_checkpoint",), into="VQGAN"),
        ),
    )


MASKGITS = (
    _maskgit_v1(256),
    _maskgit_v1(512),
    _maskgit_halton("tiny", 256, 0.4),
    _maskgit_halton("small", 256, 0.6),
    _maskgit_halton("base", 256, 0.9),
    _maskgit_halton("small", 384, 0.6),
    _maskgit_halton("base", 384, 0.9),
    _maskgit_halton("large", 384, 2.2),
    _maskgit_jax(256),
    _maskgit_jax(512),
)

# Pipelines of diffusers, in the files that it reads of a repository.
CLIP_FILES = ("config.json", "model.safetensors")
T5_FILES = ("config.json", "model.safetensors.index.json", "model-*.safetensors")
NETWORK_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
SHARDED_FILES = (
    *("config.json", "diffusion_pytorch_model.safetensors.index.json"),
    "diffusion_pytorch_model-*.safetensors",
)


def _pipeline(place: str, revision: str | None = None, **parts: tuple[str, ...]) -> Source:
    """Return the source of a pipeline: its index, its scheduler, and the files of each part."""
    names = [f"{part}/{name}" for part, files in parts.items() for name in files]
    return Source(place, ("model_index.json", "scheduler/*.json", *names), revision=revision)


def _amused(side: int) -> ModelEntry:
    return ModelEntry(
        name=f"amused-{side}",
        architecture=DIFFUSERS,
        recipe=Recipe(steps=12, guidance_scale=10.0),
        resolution=side,
        licence="OpenRAIL++",
        description=f"aMUSEd at {side} pixels, masked like Meissonic; run by diffusers' own loop",
        sources=(
            _pipeline(
                f"amused/amused-{side}",
                transformer=NETWORK_FILES,
                vqvae=NETWORK_FILES,
                text_encoder=CLIP_FILES,
                tokenizer=("*",),
            ),
        ),
        memory_gb=3.2,
        download_gb=3.2,
    )


PIPELINES = (
    ModelEntry(
        name="sdxl",
        architecture=DIFFUSERS,
        recipe=Recipe(steps=50, guidance_scale=5.0),
        resolution=1024,
        licence="OpenRAIL++-M",
        description="Stable Diffusion XL base 1.0",
        sources=(
            _pipeline(
                "stabilityai/stable-diffusion-xl-base-1.0",
                "462165984030d82259a11f4367a4eed129e94a7b",
                unet=NETWORK_FILES,
                vae=NETWORK_FILES,
                text_encoder=CLIP_FILES,
                text_encoder_2=CLIP_FILES,
                tokenizer=("*",),
                tokenizer_2=("*",),
            ),
        ),
        memory_gb=13.9,
        download_gb=13.9,
    ),
    ModelEntry(
        name="flux-schnell",
        architecture=DIFFUSERS,
        recipe=Recipe(steps=4),
        resolution=1024,
        licence="Apache-2.0",
        description="FLUX.1-schnell with a transformer of 8 bits; give it dtype: bfloat16",
        sources=(
            _pipeline(
                "black-forest-labs/FLUX.1-schnell",
                "741f7c3ce8b383c54771c7003378a50191e9efe9",
                transformer=SHARDED_FILES,
                vae=NETWORK_FILES,
                text_encoder=CLIP_FILES,
                text_encoder_2=T5_FILES,
                tokenizer=("*",),
                tokenizer_2=("*",),
            ),
        ),
        memory_gb=22,
        download_gb=33.7,
        bits=8,
    ),
    ModelEntry(
        name="sd3.5-large",
        architecture=DIFFUSERS,
        recipe=Recipe(steps=28, guidance_scale=3.5),
        resolution=1024,
        licence="Stability Community",
        description="Stable Diffusion 3.5 Large, transformer of 4 bits; give it dtype: bfloat16",
        sources=(
            _pipeline(
                "stabilityai/stable-diffusion-3.5-large",
                "ceddf0a7fdf2064ea28e2213e3b84e4afa170a0f",
                transformer=SHARDED_FILES,
                vae=NETWORK_FILES,
                text_encoder=CLIP_FILES,
                text_encoder_2=CLIP_FILES,
                text_encoder_3=T5_FILES,
                tokenizer=("*",),
                tokenizer_2=("*",),
                tokenizer_3=("*",),
            ),
        ),
        memory_gb=15,
        download_gb=27.7,
        bits=4,
    ),
    _amused(256),
    _amused(512),
)

_OWN = {entry.name: entry for entry in (*TINY, *MEISSONICS, *MASKGITS, *LLAMAGENS, *PIPELINES)}


def _check(name: str, entry: ModelEntry) -> None:
    """Check what another package says of a model."""
    if entry.name != name:
        raise ValueError(f"it calls itself {shown(entry.name)}: both names must be the same")
    if entry.family not in FAMILIES:
        raise unknown("family", cut(entry.family), FAMILIES)
    if entry.location is None or not Path(entry.location).is_dir():
        raise ValueError(f"its location must be a folder that is there, got {entry.location}")


MODELS = Registry("model", ModelEntry, _OWN, _check)
