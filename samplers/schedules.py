"""Curves over time: the mask ratio, the masking temperature and the noise deviation.

Time t runs from 0 (all masked) to 1 (all known).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bakeoff.samplers.choices import Noise, Schedule


def each(function: Callable[[float], float], values: Tensor) -> Tensor:
    """Return a function of every value [n], taken in float64 and rounded once to their dtype.

    Vector kernels for powers and cosines round as the processor's instruction set has it, and what
    is just a whole number of tokens would be one less on another machine.
    """
    return torch.tensor([function(value) for value in values.tolist()], dtype=values.dtype)


def power(values: Tensor, p: float) -> Tensor:
    """Return values [n] to the power p, which has their precision, too, as in torch."""
    exponent = float(values.new_tensor(p))
    return each(lambda value: value**exponent, values)


def karras(t: Tensor, p: float, begin: float, end: float) -> Tensor:
    """Fall from `begin` at t = 0 to `end` at t = 1 along a p-th power."""
    first, last = begin ** (1 / p), end ** (1 / p)
    return power(first + t * (last - first), p)


TINY = 1e-30  # whose logarithm is finite
MASK_RATIOS: dict[str, Callable[[Tensor, Schedule], Tensor]] = {
    "cosine": lambda t, s: each(math.cos, t * math.pi / 2),
    "linear": lambda t, s: 1 - t,
    "arccos": lambda t, s: each(math.acos, t) / (math.pi / 2),
    "log": lambda t, s: -each(math.log2, t.clamp_min(TINY)) / (s.p or 1),
    "exp": lambda t, s: 1 - each(math.exp2, (t - 1) * (s.p or 1)),
    "pow_one_minus_t": lambda t, s: power(1 - t, s.p or 1),
    "one_minus_t_pow": lambda t, s: 1 - power(t, s.p or 1),
    "karras_a": lambda t, s: karras(t, s.p or 1, s.begin, s.end),
    "karras_b": lambda t, s: 1 - karras(t, s.p or 1, 1 - s.begin, 1 - s.end),
}

DEVIATIONS: dict[str, Callable[[float], float]] = {
    "abs_cos": lambda t: abs(math.cos(math.pi * t)),
    "half_abs_cos": lambda t: abs(math.cos(math.pi * t)) / 2,
    "half_then_full": lambda t: abs(math.cos(math.pi * t)) / (2 if t < 0.5 else 1),
    "full_then_half": lambda t: abs(math.cos(math.pi * t)) / (1 if t < 0.5 else 2),
    # the paper does not have these
    "const": lambda t: 1.0,
    "linear_down": lambda t: 1 - t,
    "linear_up": lambda t: t,
    "sin": lambda t: math.sin(math.pi * t),
}


def mask_ratio(schedule: Schedule, t: Tensor) -> Tensor:
    """Return the share of tokens still masked at times t [n], in t's dtype, within [0, 1].

    Source: paper Sec. 3.1; `log`, `exp`: the original MaskGIT; `arccos`: its PyTorch reproduction.
    """
    return MASK_RATIOS[schedule.name](t, schedule).clamp(0, 1)


def known_ratio(schedule: Schedule, t: Tensor) -> Tensor:
    """Return one minus the mask ratio, not rounded twice where that is one minus something."""
    if schedule.name == "linear":
        return t
    if schedule.name == "one_minus_t_pow":
        return power(t, schedule.p or 1)
    return 1 - mask_ratio(schedule, t)


def ratios_after(schedule: Schedule, steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the share of tokens still masked after each step, [N], whole tokens aside."""
    if schedule.counts == "increments":
        return 1 - shares_revealed(schedule, steps, dtype).cumsum(dim=0)
    return mask_ratio(schedule, step_ends(schedule, steps, dtype))


def step_ends(schedule: Schedule, steps: int, dtype: torch.dtype) -> Tensor:
    """Return the times at which a schedule that is no sum of increments is read, [N]."""
    if schedule.counts == "inclusive":
        return torch.linspace(0, 1, steps, dtype=dtype)
    return torch.arange(1, steps + 1, dtype=dtype) / steps


def shares_revealed(schedule: Schedule, steps: int, dtype: torch.dtype) -> Tensor:
    """Return the share of tokens that each step reveals if the curve, run backwards, tells that."""
    curve = mask_ratio(schedule, torch.linspace(1, 0, steps, dtype=dtype))
    total = math.fsum(curve.tolist())  # the same on every processor
    return curve / total if total else torch.full_like(curve, 1 / steps)


def raw_counts(schedule: Schedule, steps: int, tokens: int) -> Tensor:
    """Return how many of K tokens are masked after each step, int64 [N], before any limit.

    What the curve sigma counts, at the ends t = i/N of the steps i = 1..N:
    masked      K sigma(t) of the tokens, rounded down (the original MaskGIT; Meissonic)
    revealed    K (1 - sigma(t)), rounded down (Halton-MaskGIT)
    inclusive   the same with t = (i - 1)/(N - 1), from 0 to 1 (its confidence sampler)
    increments  what each step reveals: in proportion to sigma(1 - (i - 1)/(N - 1)), rounded, at
                least 1 token, and the last step takes the rest (the reproduction in PyTorch)

    In float32 as officially: where the product should be whole, it may fall one below.
    """
    if schedule.counts == "increments":
        revealed = (tokens * shares_revealed(schedule, steps, torch.float32)).round().clamp(min=1)
        left = tokens - revealed.long().cumsum(dim=0)
        left[-1] = 0
        return left
    t = step_ends(schedule, steps, torch.float32)
    if schedule.counts == "masked":
        return (tokens * mask_ratio(schedule, t)).floor().long()
    return tokens - (tokens * known_ratio(schedule, t)).floor().long()


def masked_after(raw: int, unknown: Tensor, last: bool) -> Tensor:
    """Return how many tokens stay masked after a step, [B], of `unknown` [B] before it.

    One stays masked until the last step, which reveals all; every other step reveals at least one,
    unless only one is unknown before it.
    """
    if last:
        return torch.zeros_like(unknown)
    return torch.minimum((unknown - 1).clamp(max=raw).clamp(min=1), unknown)


def masking_temperatures(start: float, end: float, steps: int) -> Tensor:
    """Return the temperature of the masking noise at every step, float32 [N], linear in time."""
    ways = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
    return (start + (end - start) * ways).float()


def noise_deviation(noise: Noise, step: int, steps: int) -> float:
    """Return the standard deviation of noise regularization at a step, amplitude x curve(t).

    t = i / (N - 1), so the first step stands at 0 and the last at 1; a single step stands at 0.
    Source: paper Sec. 3.3; `abs_cos` is its best curve.
    """
    return noise.amplitude * DEVIATIONS[noise.curve](step / max(steps - 1, 1))
