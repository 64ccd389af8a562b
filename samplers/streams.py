"""Random numbers of a sample as a pure function of its seed, a purpose and a step."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor


class Streams:
    """One independent random stream per image, purpose and step.

    A number depends on (seed, purpose, step) and its place in the shape, and on nothing that was
    drawn before: batch, order, retries and other design choices never shift it. Numbers are made
    on the CPU, so that every device sees the same ones.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.seeds = tuple(int(seed) for seed in seeds)
        self.device = torch.device(device)

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers in [0, 1), float32 [B, *shape]."""
        size = tuple(shape)
        return self._stack(purpose, step, lambda rng: rng.random(size, dtype=np.float32))

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers, float32 [B, *shape]."""
        size = tuple(shape)
        return self._stack(purpose, step, lambda rng: rng.standard_normal(size, dtype=np.float32))

    def normal_at(self, purpose: str, step: int, width: int, where: Tensor) -> Tensor:
        """Return the numbers of `normal` for shape [K, width] at the marks of `where` [B, K].

        float32 [marked, width]; the numbers of one image at a time are made whole.
        """
        rows = []
        for seed, marks in zip(self.seeds, where.cpu().numpy(), strict=True):
            used = int(np.flatnonzero(marks)[-1]) + 1 if marks.any() else 0
            rng = _generator(seed, purpose, step)
            rows.append(rng.standard_normal((used, width), dtype=np.float32)[marks[:used]])
        return torch.from_numpy(np.concatenate(rows)).to(self.device)

    def generators(self, purpose: str) -> list[torch.Generator]:
        """Return one of torch's generators per image, on the CPU, for code that draws by itself."""
        made = [torch.Generator() for _ in self.seeds]
        for generator, seed in zip(made, self.seeds, strict=True):
            key = blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
            generator.manual_seed(int.from_bytes(key, "little", signed=True))
        return made

    def _stack(
        self, purpose: str, step: int, draw: Callable[[np.random.Generator], np.ndarray]
    ) -> Tensor:
        rows = [draw(_generator(seed, purpose, step)) for seed in self.seeds]
        return torch.from_numpy(np.stack(rows)).to(self.device)


def _generator(seed: int, purpose: str, step: int) -> np.random.Generator:
    # Philox is counter based: its 128-bit key makes streams independent without any warm-up.
    key = blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
