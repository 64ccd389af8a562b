"""The network with guidance as the masked loop asks for it, with all that can be shared computed once.

Over a generation stay the condition rows of every distinct prompt, and over a timestep the
modulations that follow from them. In a call, both rows of an image share what depends on its tokens
alone, the head sees wanted positions only, and guidance comes before its last product.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bakeoff.samplers.distribution import guide
from bakeoff.samplers.networks.meissonic import Condition, MeissonicTransformer
from bakeoff.samplers.networks.meissonic_blocks import Modulations

LATEST = 2  # timesteps whose modulations are kept: Z-sampling goes to and fro between two


class GuidedNetwork:
    """Predicts the tokens of B images; see `masked.Predict`."""

    def __init__(
        self, network: MeissonicTransformer, embedded: Condition, given: Sequence[int], without: int
    ) -> None:
        """Take the rows of `embedded` that condition each image, and the unconditional row."""
        self.network, self.embedded = network, embedded
        device = embedded.vector.device
        conditional = torch.tensor(given, device=device)
        unconditional = torch.full_like(conditional, without)
        self.rows = {
            0.0: unconditional,
            1.0: conditional,
            None: torch.cat([unconditional, conditional]),
        }
        self.context = {key: embedded.context[rows] for key, rows in self.rows.items()}
        self.modulated: dict[int, list[Modulations]] = {}  # by timestep, for `embedded`

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        """Return guided logits [B, K, C], or [marked, C] at the marks of `where` [B, K]."""
        key = scale if scale in (0.0, 1.0) else None
        rows = self.rows[key]
        condition = Condition(self.context[key], self.embedded.vector[rows])
        modulations = [
            tuple(tensor[rows] for tensor in block) for block in self.modulations(timestep)
        ]
        hidden = self.network.hidden(tokens, condition, modulations=modulations, where=where)
        if key is None:
            without, given = hidden.chunk(2)
            # The head is linear without bias: guiding before it gives the same, at half its work.
            hidden = guide(without, given, scale)
        return self.network.head(hidden)

    def modulations(self, timestep: int) -> list[Modulations]:
        """Return what every distinct condition does to each block at a timestep."""
        if timestep not in self.modulated:
            if len(self.modulated) == LATEST:
                del self.modulated[next(iter(self.modulated))]
            time = torch.tensor([timestep], device=self.embedded.vector.device)
            self.modulated[timestep] = self.network.modulate(self.embedded, time)
        return self.modulated[timestep]
