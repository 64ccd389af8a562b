"""Keeping an image's bits the same whatever batch it is made in.

Matrix kernels choose their order of summation by the number of rows. With many rows per image, as
in the token stream, every batch falls into the same choice; a layer that sees one row per image
does not, and its last bits depend on the batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.networks.meissonic_blocks import Modulation, Resample

ROWS = 16  # enough for the kernels to treat every row alike, with one thread or several


class FixedRows(nn.Module):
    """A linear layer that takes its rows [B, D] in blocks of one size, so that rows keep bits."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs] for x [B, inputs]."""
        padded = F.pad(x, (0, 0, 0, -len(x) % ROWS))
        return torch.cat([self.linear(block) for block in padded.split(ROWS)])[: len(x)]


class OneByOne(nn.Module):
    """A convolution that takes one image at a time, so that each keeps its bits."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Return what the convolution makes of x [B, C, H, W]."""
        return torch.cat([self.conv(image) for image in x.split(1)])


def keep_bits(transformer: nn.Module) -> None:
    """Wrap, in place, the layers of a Meissonic transformer whose bits depend on the batch."""
    for module in list(transformer.modules()):
        if isinstance(module, Modulation):
            module.linear = FixedRows(module.linear)  # type: ignore[assignment]
        elif isinstance(module, Resample):
            module.conv = OneByOne(module.conv)  # type: ignore[assignment]
