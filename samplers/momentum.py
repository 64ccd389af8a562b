"""Momentum solver: a step as the solution of an ordinary differential equation.

Let sigma be the mask ratio, z_s the tokens at sigma_s, and f the prediction of the finished tokens.
The line from the all-masked start z_0 to the finished z_N is z = (1 - sigma) z_N + sigma z_0, along
which dz/dsigma = (z - f) / sigma. From sigma_s down to sigma_t, with r = sigma_t / sigma_s, its
solution is

    z_t = r z_s - sigma_t * integral from sigma_s to sigma_t of f(sigma) / sigma^2

First order, f constant:     z_t = r z_s + (1 - r) f_s
Second order, f linear:      z_t = r z_s + (1 - r) [(1 + k) f_s - k f_prev]

where the slope of f is its difference to the step before, f_prev at sigma_prev, and, to leading
order, k = D_now / (2 D_prev) with D_now = sigma_s - sigma_t and D_prev = sigma_prev - sigma_s. The
first step has no f_prev and is of first order.

This is the paper's first order. Its second (Eq. 4, from Eq. 9-13) divides by t where the line gives
1 - t, so that the slope's term has the opposite sign and the denominator 2 sigma_t; as a share of
tokens it takes kp = D_now^2 / (2 sigma_t D_prev) of them from the prediction before. That is the
rule `paper_literal`, with kp at most 1 - r, and none where sigma_t is 0.

On tokens, r z_s + (1 - r) f keeps the share r as it is and takes the rest from f where it is most
confident: of the masked tokens, which meets the schedule, or of all.
Source: paper Sec. 4.3 and 9.8; the derivation and its reading on tokens are ours.
"""

import torch
from torch import Tensor

from bakeoff.samplers.choices import Momentum, Schedule
from bakeoff.samplers.distribution import lowest
from bakeoff.samplers.schedules import ratios_after


class Solver:
    """What a momentum solver does at each of N steps."""

    def __init__(self, choice: Momentum, schedule: Schedule, steps: int) -> None:
        self.choice = choice
        sigma = solver_ratios(schedule, steps)
        self.kept = kept_share(sigma).tolist()
        second = choice.order == 2
        literal = choice.rule == "paper_literal"
        self.weights = extrapolation(sigma).clamp(max=choice.cap).tolist()
        self.earlier = earlier_share(sigma).tolist()
        if not second or literal:
            self.weights = [0.0] * steps
        if not literal:
            self.earlier = [0.0] * steps

    def predict(self, logits: Tensor, previous: Tensor, step: int) -> Tensor:
        """Return the logits [n, C] that stand for f, given those of the step before."""
        weight = self.weights[step]
        return extrapolate(logits, previous, weight, self.choice.space) if weight else logits

    def shares(
        self, unknown: Tensor, masked: Tensor, tokens: int, step: int
    ) -> tuple[Tensor, Tensor]:
        """Return how many of the pool come from the predictions, and of these from the earlier.

        unknown [B] and masked [B]: how many are masked before the step, and are to be after it.
        """
        if self.choice.pool == "all":
            pool = torch.full_like(unknown, tokens)
            taken = pool - int(tokens * self.kept[step])
        else:
            pool, taken = unknown, unknown - masked
        return taken, torch.minimum((pool.double() * self.earlier[step]).long(), taken)


def solver_ratios(schedule: Schedule, steps: int) -> Tensor:
    """Return the mask ratios at the N + 1 ends of the steps, float64: 1 first and 0 last."""
    sigma = torch.cat([torch.ones(1, dtype=torch.float64), ratios_after(schedule, steps)])
    sigma[-1] = 0.0  # whatever the curve says
    return sigma


def kept_share(sigma: Tensor) -> Tensor:
    """Return r [N], the share that a step keeps as it is."""
    return (sigma[1:] / sigma[:-1]).nan_to_num(nan=0.0)


def extrapolation(sigma: Tensor) -> Tensor:
    """Return k [N], the weight of the step before; 0 in the first step, inf if it stood still."""
    length = sigma[:-1] - sigma[1:]
    k = length[1:] / (2 * length[:-1])
    return torch.nn.functional.pad(k.nan_to_num(nan=0.0, posinf=torch.inf), (1, 0))


def earlier_share(sigma: Tensor) -> Tensor:
    """Return kp [N] of Eq. 4 as printed: the share that comes from the prediction before."""
    length = sigma[:-1] - sigma[1:]
    kp = extrapolation(sigma) * length / sigma[1:]
    return torch.where(sigma[1:] > 0, kp, 0.0).minimum(1 - kept_share(sigma))


def extrapolate(logits: Tensor, previous: Tensor, weight: float, space: str) -> Tensor:
    """Return logits [n, C] of (1 + k) f - k f_prev, in logits or cut off at probability zero."""
    if space == "logits":
        return logits + weight * (logits - previous)
    change = (1 + weight) * logits.softmax(dim=-1) - weight * previous.softmax(dim=-1)
    positive = change.clamp_min(0.0)
    return (positive / positive.sum(dim=-1, keepdim=True)).log()


def highest(values: Tensor, pool: Tensor, count: Tensor) -> Tensor:
    """Mark the `count` [B] largest of values [B, K] within a pool [B, K]."""
    rest = pool.sum(dim=-1) - count
    return pool & ~lowest(values.masked_fill(~pool, torch.inf), rest)
