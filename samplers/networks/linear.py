"""Matrix products of a sampler: on a CPU through oneDNN, which float32 layers pass by otherwise.

PyTorch gives float32 products to another library, whose kernels are half as fast on some processors
(AMD EPYC: 105 against 240 GFLOP/s on one core). oneDNN also adds the bias and applies GELU while a
tile of the result is still in registers. Its rows have the same bits whatever their number, from
two on.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TANH_GELU = ("gelu", "tanh")
FUSED = hasattr(torch.ops.mkldnn, "_linear_pointwise")  # absent from builds without oneDNN


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weightᵀ + bias, [..., outputs] for x [..., inputs]."""
    if not fused(x):
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return GELU, in its tanh approximation, of x weightᵀ + bias."""
    if not fused(x):
        return F.gelu(F.linear(x, weight, bias), approximate="tanh")
    name, algorithm = TANH_GELU
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, name, [], algorithm)


def fused(x: Tensor) -> bool:
    """Whether oneDNN takes x: sampling, not training, on a CPU; the kernels have no gradient."""
    return (
        FUSED
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


class Linear(nn.Linear):
    """A linear layer through `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] for x [..., inputs]."""
        return linear(x, self.weight, self.bias)
