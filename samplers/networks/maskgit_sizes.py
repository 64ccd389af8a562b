"""The sizes of a class-conditional MaskGIT, read off the shapes of its weights.

Official files bring no configuration. What shapes leave open, the number of heads, follows from the
width of the released networks; others say it in a `config.json` beside their weights.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MaskGITConfig:
    """The sizes that all three published forms have."""

    dim: int
    depth: int
    heads: int
    head_dim: int
    mlp_dim: int
    codebook_size: int
    classes: int
    grid: int  # tokens per side

    @property
    def positions(self) -> int:
        """Image tokens, K."""
        return self.grid**2

    @property
    def dropped(self) -> int:
        """The class id that stands for no class, behind all others."""
        return self.classes
