"""Which tokens are masked again: after a draw, and where Z-sampling goes back."""

import torch
from torch import Tensor

from bakeoff.samplers.distribution import lowest

TINY = 1e-20  # keeps the logarithms of Gumbel noise finite, as officially


def gumbel(uniform: Tensor) -> Tensor:
    """Return standard Gumbel noise for uniform numbers in [0, 1)."""
    return -(-uniform.clamp_min(TINY).log()).clamp_min(TINY).log()


def remask(tokens: Tensor, score: Tensor, count: Tensor, mask_token_id: int) -> Tensor:
    """Mask the `count` [B] tokens [B, K] of the lowest score [B, K]."""
    return tokens.masked_fill(lowest(score, count), mask_token_id)


def backtrack_score(rule: str, log_probs: Tensor, tokens: Tensor, noise: Tensor) -> Tensor:
    """Return how much each known token [n] is worth keeping, [n]; the lowest are masked again.

    `log_probs` [n, C] are the inversion's; `low_token_prob` (the paper's text) scores the token
    that is there, with masking noise [n]; `high_max_prob` (the released code) prefers to mask where
    the inversion is surest of any code.
    """
    if rule == "high_max_prob":
        return -log_probs.amax(dim=-1)
    return log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) + noise


def backtrack(
    before: Tensor, after: Tensor, score: Tensor, rule: str, mask_token_id: int
) -> Tensor:
    """Mask known tokens of `after` [B, H, W] until about as many are unknown as `before` the step.

    The released code returns to one less; so does `high_max_prob` here, also where floor(K sigma)
    is 0 and one token stayed unknown, which officially the inversion draws for one more masked.
    Counts are per image, so that images do not mix.
    Source: paper Sec. 3.2; Meissonic `inverse_scheduler.py`.
    """
    unknown = (after == mask_token_id).flatten(1)
    count = (before == mask_token_id).flatten(1).sum(dim=1) - unknown.sum(dim=1)
    if rule == "high_max_prob":
        count = (count - 1).clamp(min=0)
    score = score.masked_fill(unknown, torch.inf)
    return remask(after.flatten(1), score, count, mask_token_id).view_as(after)
