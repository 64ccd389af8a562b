"""The loop of masked generative transformers: predict, draw, and mask the least confident again.

Order within a step: network and guidance, noise regularization, softmax, differential sampling,
truncation, draw, confidence, masking. Z-sampling goes back after a step and takes it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bakeoff.samplers.distribution import draw, lowest, redraw, regularize, temper, truncate
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.schedules import (
    masked_after,
    masking_temperatures,
    noise_deviation,
    raw_counts,
)
from bakeoff.samplers.streams import Streams

TINY = 1e-20  # keeps the logarithms of Gumbel noise finite, as officially


class Predict(Protocol):
    """The network with guidance: logits [B, K, C] for tokens [B, H, W].

    `timestep` counts the steps that are left after this one; scale 1 is the conditional prediction
    alone, scale 0 the unconditional one, and these two evaluate one row per image instead of two.
    """

    def __call__(self, tokens: Tensor, timestep: int, scale: float) -> Tensor:
        """Return the guided logits."""
        ...


@dataclass(frozen=True)
class StepRecord:
    """What a callback sees after every change of the tokens.

    phase is "forward" or "backtrack"; tokens [B, H, W]; masked [B] counts those still unknown.
    """

    step: int
    phase: str
    tokens: Tensor
    masked: Tensor


@dataclass(frozen=True)
class MaskedSample:
    """Finished tokens [B, H, W] and what they cost; row-evaluations are per image."""

    tokens: Tensor
    row_evaluations: int
    network_calls: int


def rows(scale: float) -> int:
    """Return the network rows that a prediction at a guidance scale takes per image."""
    return 1 if scale in (0.0, 1.0) else 2


def sample_masked(
    predict: Predict,
    start: Tensor,
    mask_token_id: int,
    recipe: Recipe,
    streams: Streams,
    callback: Callable[[StepRecord], None] | None = None,
) -> MaskedSample:
    """Fill in the unknown tokens of `start` [B, H, W] as the recipe says.

    Source: Meissonic `scheduler.py` and `pipeline.py`; paper Sec. 3.
    """
    recipe.check_family("masked")
    loop = _Loop(predict, mask_token_id, recipe, streams, callback)
    tokens = start
    for step in range(loop.steps):
        tokens = loop.step(tokens, step)
    return MaskedSample(tokens, loop.row_evaluations, loop.network_calls)


class _Loop:
    """The state of one generation: the previous distribution and the cost so far."""

    def __init__(
        self,
        predict: Predict,
        mask_token_id: int,
        recipe: Recipe,
        streams: Streams,
        callback: Callable[[StepRecord], None] | None,
    ) -> None:
        assert recipe.steps is not None
        self.network, self.mask, self.recipe = predict, mask_token_id, recipe
        self.streams, self.callback = streams, callback
        self.steps = recipe.steps
        self.temperatures = masking_temperatures(*recipe.masking_temperature, self.steps).tolist()
        self.previous: Tensor | None = None  # the last forward distribution, [B, K, C]
        self.row_evaluations = self.network_calls = 0

    def step(self, tokens: Tensor, step: int) -> Tensor:
        """Take a step; with Z-sampling go back from its result and take it again."""
        scale, timestep = self.recipe.guidance_scale, self.steps - 1 - step
        logits = self.predict(tokens, timestep, scale)
        after = self.advance(logits, tokens, step)
        if not self.turns(step):
            return after
        back = self.go_back(tokens, after, step)
        if back is not tokens:  # from the same tokens the network would say the same again
            logits = self.predict(back, timestep, scale)
        return self.advance(logits, back, step, leg="zigzag ")

    def predict(self, tokens: Tensor, timestep: int, scale: float) -> Tensor:
        """Return guided logits [B, K, C] in float32 and count what they cost."""
        self.row_evaluations += rows(scale)
        self.network_calls += 1
        return self.network(tokens, timestep, scale).float()

    def turns(self, step: int) -> bool:
        """Whether Z-sampling goes back after this step; the last has no way back."""
        zigzag = self.recipe.zigzag
        return zigzag is not None and zigzag.turns(step, self.steps)

    def advance(self, logits: Tensor, tokens: Tensor, step: int, leg: str = "") -> Tensor:
        """Draw the unknown tokens and mask the least confident of them; [B, H, W]."""
        flat = tokens.flatten(1)  # [B, K]
        unknown = flat == self.mask
        log_probs = self.distribution(logits, unknown, step, leg)[unknown]  # [unknown ones, C]
        uniform = self.streams.uniform(leg + "tokens", step, flat.shape[1:])
        codes = draw(log_probs, uniform[unknown], self.recipe.temperature)
        confidence = torch.full(flat.shape, torch.inf, device=flat.device)
        confidence[unknown] = log_probs.gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        noise = gumbel(self.streams.uniform(leg + "confidence", step, flat.shape[1:]))
        drawn = flat.masked_scatter(unknown, codes)
        count = self.masked_after(unknown.sum(dim=1), step, flat.shape[1])
        result = remask(drawn, confidence + self.temperatures[step] * noise, count, self.mask)
        return self.report(step, "forward", result.view_as(tokens))

    def distribution(self, logits: Tensor, unknown: Tensor, step: int, leg: str) -> Tensor:
        """Return log-probabilities [B, K, C] after every choice that changes them."""
        recipe = self.recipe
        if recipe.noise:
            normal = self.streams.normal(leg + "regularization", step, logits.shape[1:])
            logits = regularize(logits, normal, noise_deviation(recipe.noise, step, self.steps))
        log_probs = self.differentiate(temper(logits, recipe.temperature), unknown, step)
        return truncate(log_probs, recipe.top_k, recipe.top_p)

    def differentiate(self, log_probs: Tensor, unknown: Tensor, step: int) -> Tensor:
        """Differential sampling against the previous forward prediction.

        The first step has nothing to compare with, and the last would commit what it redraws.
        """
        choice = self.recipe.differential
        if choice is None:
            return log_probs
        changed = log_probs
        if self.previous is not None and 0 < step < self.steps - 1:
            pool = unknown if choice.pool == "masked" else None
            changed = redraw(log_probs, self.previous, choice.percent, choice.rule, pool)
        self.previous = changed if choice.carry == "modified" else log_probs
        return changed

    def masked_after(self, unknown: Tensor, step: int, tokens: int) -> Tensor:
        """Return how many tokens stay masked after a step, [B]."""
        raw = raw_counts(self.recipe.schedule, self.steps, tokens)
        return masked_after(int(raw[step]), unknown, last=step == self.steps - 1)

    def go_back(self, before: Tensor, after: Tensor, step: int) -> Tensor:
        """Mask known tokens again, about as many as the step revealed; [B, H, W]."""
        zigzag = self.recipe.zigzag
        assert zigzag is not None
        if zigzag.rule == "recover":
            return self.report(step, "backtrack", before)
        log_probs = None
        if zigzag.inverts:
            log_probs = temper(self.predict(after, self.steps - 2 - step, zigzag.guidance), 1.0)
        uniform = self.streams.uniform("zigzag backtrack", step, (after[0].numel(),))
        score = backtrack_score(
            zigzag.rule, log_probs, after.flatten(1), uniform, self.temperatures[step]
        )
        return self.report(
            step, "backtrack", backtrack(before, after, score, zigzag.rule, self.mask)
        )

    def report(self, step: int, phase: str, tokens: Tensor) -> Tensor:
        """Show the tokens to the callback and pass them on."""
        if self.callback:
            masked = (tokens == self.mask).sum(dim=(1, 2))
            self.callback(StepRecord(step, phase, tokens, masked))
        return tokens


def gumbel(uniform: Tensor) -> Tensor:
    """Return standard Gumbel noise for uniform numbers in [0, 1)."""
    return -(-uniform.clamp_min(TINY).log()).clamp_min(TINY).log()


def remask(tokens: Tensor, score: Tensor, count: Tensor, mask_token_id: int) -> Tensor:
    """Mask the `count` [B] tokens [B, K] of the lowest score [B, K]."""
    return tokens.masked_fill(lowest(score, count), mask_token_id)


def backtrack_score(
    rule: str, log_probs: Tensor | None, tokens: Tensor, uniform: Tensor, temperature: float
) -> Tensor:
    """Return how much each of tokens [B, K] is worth keeping, [B, K]; the lowest are masked again.

    `log_probs` [B, K, C] are the inversion's; `low_token_prob` (the paper's text) scores the token
    that is there, with masking noise; `high_max_prob` (the released code) prefers to mask where the
    inversion is surest of any code; `random` needs no inversion.
    """
    if log_probs is None:
        return uniform
    if rule == "high_max_prob":
        return -log_probs.amax(dim=-1)
    present = tokens.clamp(max=log_probs.shape[-1] - 1).unsqueeze(-1)  # masked ones do not count
    return log_probs.gather(-1, present).squeeze(-1) + temperature * gumbel(uniform)


def backtrack(
    before: Tensor, after: Tensor, score: Tensor, rule: str, mask_token_id: int
) -> Tensor:
    """Mask known tokens of `after` [B, H, W] until about as many are unknown as `before` the step.

    The released code returns to one less. Counts are per image, so that images do not mix.
    Source: paper Sec. 3.2; Meissonic `inverse_scheduler.py`.
    """
    unknown = (after == mask_token_id).flatten(1)
    count = (before == mask_token_id).flatten(1).sum(dim=1) - unknown.sum(dim=1)
    if rule == "high_max_prob":
        count = (count - 1).clamp(min=0)
    score = score.masked_fill(unknown, torch.inf)
    return remask(after.flatten(1), score, count, mask_token_id).view_as(after)
