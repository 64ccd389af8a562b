"""Keeping an image's bits the same whatever batch it is made in.

Matrix kernels choose their order of summation by the number of rows, and the choice differs where
rows are few. With many rows per image, as in the token stream, every batch falls into the same
choice; a layer that sees one row per image, or a few masked tokens, may not.
"""

from torch import Tensor, nn

from bakeoff.samplers.networks.linear import in_blocks
from bakeoff.samplers.networks.meissonic import MeissonicTransformer
from bakeoff.samplers.networks.meissonic_blocks import Modulation


class PaddedRows(nn.Module):
    """A linear layer that fills up its rows [n, D] to whole blocks, so that rows keep bits."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] for x [..., inputs]."""
        return in_blocks(self.linear, x)


def keep_bits(transformer: MeissonicTransformer) -> None:
    """Wrap, in place, the layers of a Meissonic transformer whose bits depend on the batch."""
    for module in list(transformer.modules()):
        if isinstance(module, Modulation):
            module.linear = PaddedRows(module.linear)  # type: ignore[assignment]
    for name in ("conv1", "conv2"):
        transformer.mlm_layer[name] = PaddedRows(transformer.mlm_layer[name])
