"""What a callback sees of a generation, step by step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bakeoff.samplers.distribution import Rows, divergence, entropy


@dataclass(frozen=True)
class StepRecord:
    """The state after one change of the tokens; a step of an autoregressive model is a position.

    phase: "forward", or "backtrack" where Z-sampling masks tokens again; tokens [B, h, w] int64,
    unknown ones hold the mask id (masked models) or -1; masked [B] counts the unknown ones.
    Of the distributions that tokens were drawn from, per image and nan where there is none:
    entropy [B]: mean over the drawn tokens, in nats; divergence [B]: mean KL divergence from the
    last draw of the step before, over the tokens drawn in both; redrawn [B]: share of the drawn
    tokens that differential sampling drew from the change. An autoregressive model draws none
    twice: its divergence is from the position before. A pass of Jacobi decoding draws all of its
    window that was not known, and its divergence is from the pass before, over the positions that
    both predict.
    """

    step: int
    phase: str
    tokens: Tensor
    masked: Tensor
    entropy: Tensor
    divergence: Tensor
    redrawn: Tensor


Callback = Callable[[StepRecord], None]


class Tracer:
    """Makes the records of a masked loop."""

    def __init__(self, callback: Callback, mask_token_id: int) -> None:
        self.callback, self.mask = callback, mask_token_id
        self.step = -1
        self.latest: Rows | None = None  # the last draw
        self.settled: Rows | None = None  # the last of the step before

    def forward(
        self, step: int, tokens: Tensor, distribution: Rows, unknown: Tensor, redrawn: Tensor
    ) -> None:
        """Record the tokens [B, H, W] after a draw of the `unknown` ones, [B, K] as `redrawn`."""
        if step != self.step:
            self.step, self.settled = step, self.latest
        current = Rows(distribution.at(unknown), unknown)
        distance = torch.full((len(tokens),), torch.nan)
        if self.settled:
            both = unknown & self.settled.where
            distance = _mean(divergence(current.at(both), self.settled.at(both)), both)
        self.latest = current
        share = _mean(redrawn[unknown].float(), unknown)
        self.report("forward", tokens, _mean(entropy(current.values), unknown), distance, share)

    def backtrack(self, tokens: Tensor) -> None:
        """Record the tokens [B, H, W] after going back."""
        nothing = torch.full((len(tokens),), torch.nan)
        self.report("backtrack", tokens, nothing, nothing, nothing)

    def report(
        self, phase: str, tokens: Tensor, spread: Tensor, distance: Tensor, share: Tensor
    ) -> None:
        """Call back with what can be read off the tokens, too."""
        masked = (tokens == self.mask).sum(dim=(1, 2))
        self.callback(StepRecord(self.step, phase, tokens, masked, spread, distance, share))


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean [B] of values [n] at the marks of `where` [B, K]; nan if there are none."""
    filled = torch.zeros(where.shape, device=where.device)
    filled[where] = values
    return filled.sum(dim=1) / where.sum(dim=1)
