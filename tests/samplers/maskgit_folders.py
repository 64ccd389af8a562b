"""Small checkpoint folders of MaskGIT in the three published formats, from the golden weights."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgpack
import torch
from safetensors.torch import load_file
from torch import Tensor

from bakeoff.samplers.networks.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig

FORMS = ("v1", "halton", "jax")
GOLDEN = Path(__file__).parents[1] / "golden/maskgit"
HEADS = 4  # of the golden networks, whose shapes do not tell
CODES = {"v1": 64, "halton": 64, "jax": 32}
GRIDS = {"v1": 6, "halton": 6, "jax": 5}
CLASSES = 10
LIGHTNING = "pytorch_lightning.callbacks.model_checkpoint"
SMALL_VQ = {"codebook_size": 64, "codebook_embed_dim": 4, "ch": 32, "z_channels": 32}
SMALL_VQ |= {"encoder_ch_mult": [1, 1], "decoder_ch_mult": [1, 1], "num_res_blocks": 1}


def golden_weights(name: str, folder: Path = GOLDEN) -> dict[str, Tensor]:
    """Return golden weights in float32, with both names of what official files hold twice."""
    tensors = load_file(folder / f"{name}_weights.safetensors")
    weights = {key: tensor.float() for key, tensor in tensors.items()}
    return weights | (
        {"head.weight": weights["tok_emb.weight"]} if "reg_tokens.weight" in weights else {}
    )


def write_folder(
    folder: Path, form: str, *, classes: list[str] | None = None, **changes: Tensor
) -> Path:
    """Write a folder of a form; `changes` replace weights of its transformer."""
    network, tokenizer = folder / "MaskGIT", folder / "VQGAN"
    for part in (network, tokenizer):
        part.mkdir(parents=True)
    if form != "jax":
        (network / "config.json").write_text(json.dumps({"heads": HEADS}))
    if classes:
        (folder / "classes.json").write_text(json.dumps(classes))
    if form == "jax":
        weights = golden_weights("jax_transformer") | changes
        write_flax(network / "maskgit_imagenet256_checkpoint", weights)
        write_flax(tokenizer / "tokenizer_imagenet256_checkpoint", golden_weights("jax_tokenizer"))
        return folder
    weights = golden_weights(form) | changes
    write_training_state(network / "MaskGIT_ImageNet_256.pth", weights)
    if form == "v1":
        write_lightning(tokenizer / "last.ckpt", golden_weights("vqgan"))
    else:
        torch.manual_seed(0)
        vq = LlamaGenVQ(LlamaGenVQConfig.from_dict(SMALL_VQ))
        torch.save({"model": vq.state_dict()}, tokenizer / "vq_ds16_c2i.pt")
    return folder


def write_training_state(file: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a file of the PyTorch reproduction: weights among the state of a training."""
    state = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]}
    content = {"iter": 5, "global_epoch": 1, "model_state_dict": dict(weights)}
    torch.save(content | {"optimizer_state_dict": state}, file)


def write_lightning(file: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a checkpoint of Lightning, which names a class of that library beside the weights."""
    module = ModuleType(LIGHTNING)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": LIGHTNING})
    loss = {"loss.discriminator.main.0.weight": torch.ones(2)}
    content = {
        "epoch": 3,
        "state_dict": dict(weights) | loss,
        "callbacks": {module.ModelCheckpoint: {"best_model_score": torch.ones(())}},
    }
    names = LIGHTNING.split(".")
    parents = {".".join(names[:i]): ModuleType(".".join(names[:i])) for i in (1, 2)}
    known = parents | {LIGHTNING: module}
    sys.modules.update(known)
    try:
        torch.save(content, file)
    finally:
        for name in known:
            del sys.modules[name]


def write_flax(file: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a file of flax: nested dictionaries, arrays as extensions."""
    top: dict[str, Any] = {}
    for path, tensor in weights.items():
        *modules, leaf = path.split("/")
        inner = top
        for module in modules:
            inner = inner.setdefault(module, {})
        inner[leaf] = packed_array(tensor)
    file.write_bytes(msgpack.packb({"params": top}))


def packed_array(tensor: Tensor) -> msgpack.ExtType:
    """Return an array as flax packs it."""
    name = str(tensor.dtype).removeprefix("torch.")
    content = (tuple(tensor.shape), name, tensor.contiguous().numpy().tobytes())
    return msgpack.ExtType(1, msgpack.packb(content))
