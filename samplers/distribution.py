"""From logits to a drawn token: every design choice that acts on one step's distribution.

The same functions serve the masked and the autoregressive loop, in this order: guide, regularize,
temper, differential sampling, truncate, draw. All work on float32 along the last axis, the
codes; distributions are passed as log-probabilities, in which zero probability is exactly -inf.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

CONSTANT_MASS = 1e-12  # below it two distributions count as equal
POSITIVE_FLOOR = 1e-6  # the released code's least difference
BLOCK = 256  # rows that are drawn at once
SPAN = 128  # codes that a draw takes together at first
BELOW_ONE = 1 - 2**-24  # the largest float32 under it
LEAST = -46.0  # log-probability that stands for none, so that no divergence is infinite


@dataclass(frozen=True)
class Rows:
    """Values [n, C] over the codes at the n positions that `where` [B, K] marks."""

    values: Tensor
    where: Tensor

    def at(self, places: Tensor) -> Tensor:
        """Return the values at `places` [B, K], all of which must be marked."""
        if places is self.where:  # comparing the marks themselves would make a GPU's host wait
            return self.values
        return self.values[places[self.where]]


def guide(unconditional: Tensor, conditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance u + s (c - u), on logits or on the features of a linear head."""
    return unconditional + scale * (conditional - unconditional)


def regularize(logits: Tensor, normal: Tensor, deviation: float) -> Tensor:
    """Noise regularization: add N(0, deviation^2) to logits [..., C]; `normal` is N(0, 1).

    Source: paper Sec. 3.3.
    """
    return logits + deviation * normal


def temper(logits: Tensor, temperature: float) -> Tensor:
    """Return log-probabilities [..., C] of logits at a token temperature.

    At temperature 0 the draw is the argmax, which no scale changes: logits stay as they are.
    """
    scaled = logits if temperature in (0.0, 1.0) else logits / temperature
    return torch.log_softmax(scaled.float(), dim=-1)


def divergence(current: Tensor, previous: Tensor) -> Tensor:
    """Return KL(current || previous) [...] of log-probabilities [..., C]; 0 log 0 counts as 0.

    It is finite: where `previous` had none, or less than e^LEAST, it counts as that much. So
    distributions with impossible codes, as the momentum solver makes them, still have an order.
    """
    terms = current.exp() * (current - previous.clamp_min(LEAST))
    # Codes of probability zero give 0 * inf; their term's limit is zero.
    return torch.where(current.isneginf(), 0.0, terms).sum(dim=-1)


def difference(current: Tensor, previous: Tensor, rule: str) -> Tensor:
    """Return the log of the normalized change between two log-probabilities [..., C].

    `abs` takes |p - q| (the paper's text), `positive` takes max(p - q, 1e-6) (the released code).
    Where nothing changed there is nothing to normalize, and `current` is kept. Above 32,768 codes
    several threads share the sum of a single row, which may round otherwise than that of many rows.
    Source: paper Sec. 3.4.
    """
    change = current.exp() - previous.exp()
    mass = change.abs() if rule == "abs" else change.clamp_min(POSITIVE_FLOOR)
    # The floor gives even an unchanged pair some mass: only the change itself tells.
    unchanged = change.abs().sum(dim=-1, keepdim=True) < CONSTANT_MASS
    return torch.where(unchanged, current, (mass / mass.sum(dim=-1, keepdim=True)).log())


def entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy [...] of log-probabilities [..., C], in nats; 0 log 0 counts as 0."""
    return -(log_probs.exp() * log_probs).nan_to_num(nan=0.0).sum(dim=-1)


def lowest(values: Tensor, count: Tensor | int) -> Tensor:
    """Mark the `count` (an int or [B]) smallest of values [B, K]; ties go to the lower index."""
    order = values.argsort(dim=-1, stable=True)
    ranks = torch.empty_like(order)
    ranks.scatter_(-1, order, torch.arange(values.shape[-1], device=values.device).expand_as(order))
    limit = count[:, None] if isinstance(count, Tensor) else count
    return ranks < limit


def least_changed(current: Tensor, previous: Tensor, pool: Tensor, percent: float) -> Tensor:
    """Mark the tokens that differential sampling redraws, [B, K].

    They are the `percent` of each image's `pool` [B, K] whose distribution diverged least from the
    previous one; log-probabilities [n, C] belong to the n positions of the pool.
    Source: paper Sec. 3.4.
    """
    # No divergence is infinite, so that all in the pool stand before all others.
    distance = torch.full(pool.shape, torch.inf, device=pool.device)
    distance[pool] = divergence(current, previous)
    count = (pool.sum(dim=-1).double() * percent / 100).long()
    return lowest(distance, count) & pool


def truncate(log_probs: Tensor, top_k: int | None, top_p: float) -> Tensor:
    """Keep the top-k codes, then the smallest set that holds mass top-p; renormalize [..., C].

    Codes that tie with the k-th are kept; the code that crosses top-p is kept.
    """
    if top_k is not None and top_k < log_probs.shape[-1]:
        least = log_probs.topk(top_k, dim=-1).values[..., -1:]
        log_probs = log_probs.masked_fill(log_probs < least, -torch.inf).log_softmax(dim=-1)
    if top_p < 1.0:
        ordered, order = log_probs.sort(dim=-1, descending=True, stable=True)
        before = torch.nn.functional.pad(ordered.exp().cumsum(dim=-1)[..., :-1], (1, 0))
        dropped = torch.zeros_like(order, dtype=torch.bool).scatter(-1, order, before > top_p)
        log_probs = log_probs.masked_fill(dropped, -torch.inf).log_softmax(dim=-1)
    return log_probs


def draw(log_probs: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
    """Draw a code per row [...] from log-probabilities [..., C] and one uniform number [...] each.

    Inverse CDF, so recipes that share a seed share their randomness; temperature 0 is the argmax.
    Some rows at a time, whose probabilities stay in a CPU's cache.
    """
    if temperature == 0.0:
        return log_probs.argmax(dim=-1)
    parts = zip(log_probs.flatten(0, -2).split(BLOCK), uniform.flatten().split(BLOCK), strict=True)
    return torch.cat([_draw(part.exp(), number) for part, number in parts]).view_as(uniform)


def _draw(mass: Tensor, uniform: Tensor) -> Tensor:
    """Draw [n] from unnormalized probabilities [n, C]: first a span of codes, then one of them.

    Sums of spans are several times faster than the running sum over all codes.
    """
    if mass.shape[-1] % SPAN:
        return _find(mass, uniform)[0]
    spans = mass.unflatten(-1, (-1, SPAN))
    span, rest = _find(spans.sum(dim=-1), uniform)
    within = spans[torch.arange(len(span), device=span.device), span]
    return span * SPAN + _find(within, rest)[0]


def _find(mass: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Return the place [n] in the running sum of mass [n, M], and how far into it, in [0, 1)."""
    cumulative = mass.cumsum(dim=-1)
    # Scaling by the sum keeps the target below it, so that a place of no mass is never found.
    target = uniform.unsqueeze(-1) * cumulative[..., -1:]
    place = torch.searchsorted(cumulative, target, right=True)
    edges = torch.nn.functional.pad(cumulative, (1, 0))
    before, after = edges.gather(-1, place), edges.gather(-1, place + 1)
    # The differences may round to equal ones, though the target is below what is after it.
    share = ((target - before) / (after - before)).clamp(max=BELOW_ONE)
    return place.squeeze(-1), share.squeeze(-1)
