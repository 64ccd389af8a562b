"""Matrix products of a sampler: on a CPU through oneDNN, which float32 layers pass by otherwise.

PyTorch gives float32 products to another library, whose kernels are half as fast on some processors
(AMD EPYC: 105 against 240 GFLOP/s on one core). oneDNN also adds the bias and applies GELU while a
tile of the result is still in registers. Rows of float32 have the same bits whatever their number,
from two on. Kernels for bfloat16 that multiply by tiles (AMX) sum in an order that follows from the
number of rows, so there it is always the same number: whole blocks.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 16  # enough for the kernels to treat every row alike, with one thread or several
HALF_ROWS = 256  # of every bfloat16 product: smaller blocks read the weight more often, larger pad
FUSED = hasattr(torch.ops.mkldnn, "_linear_pointwise")  # absent from builds without oneDNN


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weightᵀ + bias, [..., outputs] for x [..., inputs]."""
    return _product(x, weight, bias, False) if fused(x) else F.linear(x, weight, bias)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return GELU, in its tanh approximation, of x weightᵀ + bias."""
    if fused(x):
        return _product(x, weight, bias, True)
    return F.gelu(F.linear(x, weight, bias), approximate="tanh")


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    # the compiler reads the product in its own way, which takes weights only if it packed them
    product = _opaque if torch.compiler.is_compiling() else _onednn
    return product(x.contiguous(), weight, bias, gelu)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    name, algorithm = ("gelu", "tanh") if gelu else ("none", "")

    def product(rows: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, name, [], algorithm)

    return product(x) if x.dtype == torch.float32 else _by_blocks(product, x)


def _by_blocks(product: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a product to the rows of x [..., D], always to as many; zeros fill up the last."""
    rows = x.reshape(-1, x.shape[-1])
    *whole, last = rows.split(HALF_ROWS)
    filled = F.pad(last, (0, 0, 0, HALF_ROWS - len(last)))
    out = torch.cat([product(block) for block in (*whole, filled)])
    return out[: len(rows)].view(*x.shape[:-1], -1)


_opaque = torch.library.custom_op(
    "bakeoff::linear",
    _onednn,
    mutates_args=(),
    schema="(Tensor x, Tensor weight, Tensor? bias, bool gelu) -> Tensor",
)


@_opaque.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    return x.new_empty((*x.shape[:-1], len(weight)))


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


def in_blocks(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer to rows x [n, D], filled up to whole blocks, so that every row keeps its bits.

    Where x has more dimensions its rows are many in any batch, and it stays as it is.
    """
    if x.dim() > 2 or len(x) % ROWS == 0:
        return layer(x)
    return layer(F.pad(x, (0, 0, 0, -len(x) % ROWS)))[: len(x)]


class Linear(nn.Linear):
    """A linear layer through `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] for x [..., inputs]."""
        return linear(x, self.weight, self.bias)
