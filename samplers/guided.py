"""The network with guidance as the masked loop asks for it; what can be shared is computed once.

Over a generation stay the condition rows of every distinct prompt, and over a timestep the
modulations that follow from them. In a call, both rows of an image share what depends on its tokens
alone, the head sees wanted positions only, and guidance comes before its last product.
"""

from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import Tensor

from bakeoff.samplers.distribution import guide
from bakeoff.samplers.masked import MaskedSample, Predict, sample_masked
from bakeoff.samplers.networks.meissonic import Condition, MeissonicTransformer
from bakeoff.samplers.networks.meissonic_blocks import Modulations
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback

LATEST = 2  # timesteps whose modulations are kept: Z-sampling goes to and fro between two
BLOCK = 256  # rows of logits
CPU_TOKENS = 1024  # of all rows together, that a CPU takes at once


class Guided(Predict, Protocol):
    """The prediction of a batch that can be taken apart."""

    @property
    def mask_token_id(self) -> int:
        """The id of a token not yet known."""
        ...

    @property
    def mask_code(self) -> int | None:
        """The last logit, if it stands for the mask."""
        ...

    def part(self, images: slice) -> Self:
        """Return the prediction of some of the images."""
        ...

    def row_length(self, tokens: int) -> int:
        """Return the length of the sequence that the network sees for an image of K tokens."""
        ...


class GuidedNetwork:
    """Predicts the tokens of B images; see `masked.Predict`.

    embedded: the distinct conditions, of which the first is the unconditional one; given: the row
    of `embedded` for each image; clock: counts the time between hidden states and the next call to
    the stage `draw`, the rest to `network`.
    """

    def __init__(
        self,
        network: MeissonicTransformer,
        embedded: Condition,
        given: Sequence[int],
        clock: Stopwatch | None = None,
    ) -> None:
        self.clock = clock or Stopwatch(embedded.vector.device)
        self.network, self.embedded, self.given = network, embedded, list(given)
        conditional = torch.tensor(self.given, device=embedded.vector.device)
        unconditional = torch.zeros_like(conditional)
        both = torch.cat([unconditional, conditional])
        self.rows = {0.0: unconditional, 1.0: conditional, None: both}
        self.conditions = {key: embedded[rows] for key, rows in self.rows.items()}
        self.modulated: dict[int, list[Modulations]] = {}  # by timestep, for `embedded`

    @property
    def mask_token_id(self) -> int:
        """The id of a token not yet known."""
        return self.network.config.mask_token_id

    @property
    def mask_code(self) -> None:
        """No logit stands for the mask."""
        return None

    def row_length(self, tokens: int) -> int:
        """Return how many positions of text and image a row has for an image of K tokens."""
        cells = 4 if self.network.config.downsample else 1
        return self.embedded.context.shape[1] + tokens // cells

    def part(self, images: slice) -> "GuidedNetwork":
        """Return the network for some of the images."""
        given = self.given[images]
        used = list(dict.fromkeys([0, *given]))
        given = [used.index(row) for row in given]
        return GuidedNetwork(self.network, self.embedded[used], given, self.clock)

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        """Return guided logits [B, K, C], or [marked, C] at the marks of `where` [B, K]."""
        self.clock.lap("draw")
        key = scale if scale in (0.0, 1.0) else None
        rows, condition = self.rows[key], self.conditions[key]
        modulations = [
            tuple(tensor[rows] for tensor in block) for block in self.modulations(timestep)
        ]
        hidden = self.network.hidden(tokens, condition, modulations=modulations, where=where)
        self.clock.lap("network")
        if key is None:
            without, given = hidden.float().chunk(2)
            # The head is linear without bias: guiding before it gives the same, at half its work.
            hidden = guide(without, given, scale).to(hidden.dtype)
        return self.logits(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits in float32; other types are converted a block at a time, in the cache."""
        if hidden.dtype == torch.float32:
            return self.network.head(hidden)
        shape = (*hidden.shape[:-1], self.network.config.codebook_size)
        logits = torch.empty(shape, device=hidden.device)
        blocks = zip(logits.split(BLOCK), hidden.split(BLOCK), strict=True)
        for converted, block in blocks:
            converted.copy_(self.network.head(block))
        return logits

    def modulations(self, timestep: int) -> list[Modulations]:
        """Return what every distinct condition does to each block at a timestep."""
        if timestep not in self.modulated:
            if len(self.modulated) == LATEST:
                del self.modulated[next(iter(self.modulated))]
            time = torch.tensor([timestep], device=self.embedded.vector.device)
            self.modulated[timestep] = self.network.modulate(self.embedded, time)
        return self.modulated[timestep]


def sample_in_groups(
    predict: Guided,
    start: Tensor,
    recipe: Recipe,
    seeds: Sequence[int],
    callback: Callback | None = None,
) -> MaskedSample:
    """Fill in the unknown tokens of `start` [B, H, W], as many images at once as the device likes.

    A GPU wants all. A CPU gains nothing from more rows, and is faster while what a step makes stays
    in its cache. A callback is to see the whole batch. The images are the same in every case.
    """
    size, mask, mask_code = len(start), predict.mask_token_id, predict.mask_code
    if start.device.type == "cpu" and callback is None:
        size = max(1, CPU_TOKENS // (2 * predict.row_length(start[0].numel())))
    samples = []
    for first in range(0, len(start), size):
        some = slice(first, first + size)
        streams = Streams(seeds[some], start.device)
        samples.append(
            sample_masked(
                predict.part(some), start[some], mask, recipe, streams, callback, mask_code
            )
        )
    tokens = torch.cat([sample.tokens for sample in samples])
    return MaskedSample(tokens, samples[0].row_evaluations, samples[0].network_calls)
