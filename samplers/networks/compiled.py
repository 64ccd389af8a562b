"""Compiling the part of a transformer whose shapes stay the same over a generation."""

from typing import Any

import torch
from torch import nn


def compile_backbone(network: nn.Module, **options: Any) -> None:
    """Have a network's `backbone` compiled when it first runs.

    On a GPU its launches are recorded as one CUDA graph. `options` go to `torch.compile`.
    """
    device = next(network.parameters()).device.type
    mode = {"mode": "reduce-overhead"} if device == "cuda" else {}
    backbone: Any = network.backbone
    compiled = torch.compile(backbone, dynamic=False, **{**mode, **options})
    network.backbone = compiled  # type: ignore[assignment]
