"""Linear layers whose weights lie as the CPU's matrix kernels read them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.networks.linear import FUSED

HALF_ROWS = 32  # of every bfloat16 product


class PackedLinear(nn.Module):
    """A linear layer without bias for inference on a CPU, with its weight packed once.

    With few rows the time goes into reading weights: the plain layer packs them in every call.
    Rows keep their bits in any batch of two or more. Kernels for bfloat16 that multiply by tiles
    sum in an order that follows from the number of rows, so there it is always the same number.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        assert linear.bias is None
        # no parameter: it has a layout of its own, which cannot be moved, cast or saved
        self.packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] for x [..., inputs]."""
        if x.dtype != torch.bfloat16:
            return self._product(x)
        rows = x.flatten(0, -2)
        blocks = F.pad(rows, (0, 0, 0, -len(rows) % HALF_ROWS)).split(HALF_ROWS)
        product = torch.cat([self._product(block) for block in blocks])
        return product[: len(rows)].view(*x.shape[:-1], -1)

    def _product(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, None, "none", [], "")


def pack_weights(network: nn.Module) -> bool:
    """Replace, in place, the linear layers without bias of a network that stays on the CPU.

    Where PyTorch comes without oneDNN they are left as they are, and False comes back.
    """
    if not FUSED:
        return False
    # without the linear layers themselves: each weight is to go when its packed form is there
    for module in [m for m in network.modules() if not isinstance(m, nn.Linear)]:
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and child.bias is None:
                setattr(module, name, PackedLinear(child))
    return True
