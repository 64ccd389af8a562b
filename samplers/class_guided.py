"""The network of a class-conditional model with guidance, as the masked loop asks for it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bakeoff.samplers.distribution import guide
from bakeoff.samplers.networks.maskgit_files import MaskGIT
from bakeoff.samplers.stopwatch import Stopwatch


class ClassGuidedNetwork:
    """Predicts the tokens of B images, each of a class; see `masked.Predict`.

    labels: the class id of each image; without: the class id that guidance leads away from, which
    stands for no class where training dropped some; clock: counts the time between hidden states
    and the next call to the stage `draw`, the rest to `network`.
    """

    def __init__(
        self,
        network: MaskGIT,
        labels: Sequence[int],
        without: int,
        clock: Stopwatch | None = None,
    ) -> None:
        self.device = next(network.parameters()).device
        self.clock = clock or Stopwatch(self.device)
        self.network, self.labels, self.without = network, list(labels), without
        conditional = torch.tensor(self.labels, device=self.device)
        unconditional = torch.full_like(conditional, without)
        both = torch.cat([unconditional, conditional])
        self.rows = {0.0: unconditional, 1.0: conditional, None: both}

    @property
    def mask_token_id(self) -> int:
        """The id of a token not yet known."""
        return self.network.unknown

    @property
    def mask_code(self) -> int | None:
        """The last logit, if it stands for the mask."""
        codes = self.network.config.codebook_size
        return codes if self.network.columns > codes else None

    def row_length(self, tokens: int) -> int:
        """Return how many positions a row has for an image of K tokens: one more."""
        return tokens + 1

    def part(self, images: slice) -> "ClassGuidedNetwork":
        """Return the network for some of the images."""
        return ClassGuidedNetwork(self.network, self.labels[images], self.without, self.clock)

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        """Return guided logits [B, K, C], or [marked, C] at the marks of `where` [B, K]."""
        self.clock.lap("draw")
        labels = self.rows[scale if scale in (0.0, 1.0) else None]
        times = len(labels) // len(tokens)
        wanted = None if where is None else where.repeat(times, 1)
        hidden = self.network.hidden(tokens.repeat(times, 1, 1), labels, wanted)
        self.clock.lap("network")
        if times > 1:
            without, given = hidden.float().chunk(2)
            # The head adds the same bias to both: guiding before it gives the same, at half its
            # work.
            hidden = guide(without, given, scale).to(hidden.dtype)
        return self.network.logits(hidden, where).float()
