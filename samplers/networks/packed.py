"""Linear layers whose weights lie as the CPU's matrix kernels read them."""

import torch
from torch import Tensor, nn

from bakeoff.samplers.networks.linear import FUSED


class PackedLinear(nn.Module):
    """A linear layer without bias for inference on a CPU, with its weight packed once.

    With few rows the time goes into reading weights: the plain layer packs them in every call.
    Rows keep their bits in any batch of two or more.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        assert linear.bias is None
        # no parameter: it has a layout of its own, which cannot be moved, cast or saved
        self.packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] for x [..., inputs]."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, None, "none", [], "")


def pack_weights(network: nn.Module) -> bool:
    """Replace, in place, the linear layers without bias of a network that stays on the CPU.

    Where PyTorch comes without oneDNN they are left as they are, and False comes back.
    """
    if not FUSED:
        return False
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and child.bias is None:
                setattr(module, name, PackedLinear(child))
    return True
