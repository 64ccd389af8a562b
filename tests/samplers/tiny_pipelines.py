"""Tiny pipelines of diffusers with random weights, in the layout of the official folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

CLIP_TOKENIZER = Path(__file__).parents[1] / "golden/meissonic/ckpt_plain/tokenizer"
T5_WORDS = ["<pad>", "</s>", "<unk>", "▁a", "▁red", "▁circle", "▁dog", "▁", "s"]


def clip(projected: bool = False) -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=559,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=557,
        eos_token_id=558,
        pad_token_id=558,
    )
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return getattr(transformers, kind)(config)


def clip_tokens() -> Any:
    return transformers.CLIPTokenizer.from_pretrained(CLIP_TOKENIZER)


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=32, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )
    return transformers.T5EncoderModel(config)


def t5_tokens() -> Any:
    vocabulary = [(word, -float(place)) for place, word in enumerate(T5_WORDS)]
    return transformers.T5TokenizerFast(vocab=vocabulary, extra_ids=0)


def vae(shift: float | None) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
        shift_factor=shift,
    )


def sdxl() -> Any:
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=16 + 6 * 4,
        cross_attention_dim=32,
        norm_num_groups=4,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(shift=None),
        text_encoder=clip(),
        text_encoder_2=clip(projected=True),
        tokenizer=clip_tokens(),
        tokenizer_2=clip_tokens(),
        unet=unet,
        scheduler=diffusers.EulerAncestralDiscreteScheduler(),  # draws in every step
    )


def sd3() -> Any:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        out_channels=4,
        pos_embed_max_size=16,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(shift=0.1),
        text_encoder=clip(projected=True),
        tokenizer=clip_tokens(),
        text_encoder_2=clip(projected=True),
        tokenizer_2=clip_tokens(),
        text_encoder_3=t5(),
        tokenizer_3=t5_tokens(),
    )


def flux(guided: bool = False) -> Any:
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(shift=0.1),
        text_encoder=clip(),
        tokenizer=clip_tokens(),
        text_encoder_2=t5(),
        tokenizer_2=t5_tokens(),
        transformer=transformer,
    )


def amused() -> Any:
    transformer = diffusers.UVit2DModel(
        hidden_size=16,
        cond_embed_dim=16,
        micro_cond_encode_dim=2,
        micro_cond_embed_dim=10,
        encoder_hidden_size=16,
        vocab_size=18,
        codebook_size=16,
        in_channels=16,
        block_out_channels=16,
        num_res_blocks=1,
        block_num_heads=2,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        sample_size=8,
    )
    vqvae = diffusers.VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        num_vq_embeddings=16,
        latent_channels=4,
        mid_block_add_attention=False,
        lookup_from_codebook=True,
    )
    return diffusers.AmusedPipeline(
        vqvae=vqvae,
        tokenizer=clip_tokens(),
        text_encoder=clip(projected=True),
        transformer=transformer,
        scheduler=diffusers.AmusedScheduler(mask_token_id=17),
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "sdxl": sdxl,
    "sd3.5": sd3,
    "flux-schnell": flux,
    "amused": amused,
}


def write_pipelines(root: Path) -> None:
    """Write a folder for each of `MAKERS`; weights are larger than libraries start with."""
    torch.manual_seed(0)
    for name, make in MAKERS.items():
        pipe = make()
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                for weight in part.parameters():
                    if weight.ndim > 1:
                        torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        pipe.save_pretrained(root / name)


def change_json(file: Path, **entries: Any) -> None:
    """Change entries of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))
