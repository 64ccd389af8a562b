"""The shapes of a file's weights, off which sizes are read that nothing else tells."""

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

from torch import Tensor

from bakeoff.samplers.errors import InputError


class Shapes:
    """The shapes of a file's weights by key; a missing one is told in a sentence."""

    def __init__(self, tensors: Mapping[str, Tensor], source: str | Path) -> None:
        self.shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        self.source = source

    def __contains__(self, key: str) -> bool:
        return key in self.shapes

    def of(self, key: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a weight with so many dimensions.

        Raises: InputError if it is missing, empty or has another number of dimensions.
        """
        if key not in self.shapes:
            raise InputError(f"{self.source}: the weight {key!r} is missing")
        shape = self.shapes[key]
        if len(shape) != dimensions or 0 in shape:
            raise InputError(
                f"{self.source}: the weight {key!r} has shape {list(shape)}, but must have "
                f"{dimensions} dimensions, none of them 0"
            )
        return shape

    def count(self, pattern: str) -> int:
        """Return how many keys there are of a pattern with one `{}`, numbered from 0; at least 1.

        Raises: InputError if there is none.
        """
        number = 0
        while pattern.format(number) in self.shapes:
            number += 1
        if number == 0:
            raise InputError(f"{self.source}: the weight {pattern.format(0)!r} is missing")
        return number

    def side(self, positions: int, key: str) -> int:
        """Return the side of a square grid of so many positions, which a weight's shape tells.

        Raises: InputError if there is no such square.
        """
        if positions < 1 or isqrt(positions) ** 2 != positions:
            raise InputError(
                f"{self.source}: the weight {key!r} has {positions} image positions, "
                "which is no square number"
            )
        return isqrt(positions)

    def classes(self, rows: int, codebook_size: int, others: int, key: str) -> int:
        """Return the classes of a vocabulary of so many rows: those beside codes and `others`.

        Raises: InputError if no row is left for a class.
        """
        classes = rows - codebook_size - others
        if classes < 1:
            raise InputError(
                f"{self.source}: the weight {key!r} has {rows} rows, too few for the "
                f"{codebook_size} codes of the tokenizer, {others} more and a class"
            )
        return classes

    def heads(self, said: int | None, released: Mapping[int, int], dim: int, width: int) -> int:
        """Return the number of heads: what is said, or that of the released network of a width.

        Raises: InputError if neither tells, or `width` channels do not divide into so many.
        """
        heads = released.get(dim) if said is None else said
        if heads is None:
            raise InputError(
                f"{self.source}: no released network is {dim} wide: say its number of heads in "
                'a config.json beside the weights, as {"heads": 8}'
            )
        if heads < 1 or width % heads:
            raise InputError(f"{self.source}: {width} channels do not divide into {heads} heads")
        return heads
