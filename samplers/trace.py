"""What a callback sees of a generation, step by step."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StepRecord:
    """The state after one change of the tokens; a step of an autoregressive model is a position.

    phase: "forward", or "backtrack" where Z-sampling masks tokens again; tokens [B, h, w] int64,
    unknown ones hold the mask id (masked models) or -1; masked [B] counts the unknown ones.
    Of the distributions that tokens were drawn from, per image and nan where there is none:
    entropy [B]: mean over the drawn tokens, in nats; divergence [B]: mean KL divergence from the
    step before, over the tokens unknown in both; redrawn [B]: share of the drawn tokens that
    differential sampling drew from the change.
    """

    step: int
    phase: str
    tokens: Tensor
    masked: Tensor
    entropy: Tensor
    divergence: Tensor
    redrawn: Tensor


Callback = Callable[[StepRecord], None]
