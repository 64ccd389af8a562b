"""The autoregressive loop: image tokens in raster order, one network call for each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bakeoff.samplers.distribution import (
    difference,
    divergence,
    draw,
    guide,
    lowest,
    regularize,
    temper,
    truncate,
)
from bakeoff.samplers.networks.llamagen import LlamaGenTransformer
from bakeoff.samplers.recipe import Differential, Recipe
from bakeoff.samplers.schedules import noise_deviation
from bakeoff.samplers.streams import Streams

# Differential sampling needs some divergences to tell a low one.
WARM_UP = 16


@dataclass(frozen=True)
class TokenSequences:
    """Tokens [B, N] and what each image cost.

    A row-evaluation is one network pass of one row over one position: N tokens cost N, or 2 N with
    guidance. Rows that only pad a batch do not count.
    """

    tokens: Tensor
    row_evaluations: int
    network_calls: int


def generate_tokens(
    network: LlamaGenTransformer,
    condition: Tensor,
    mask: Tensor | None,
    recipe: Recipe,
    streams: Streams,
    *,
    guided_tokens: int | None = None,
) -> TokenSequences:
    """Draw the N image tokens of B images, one image for each seed of `streams`.

    condition [B, ...] and mask [B, T] as the network takes them; `guided_tokens` limits guidance to
    the first tokens (all by default; LlamaGen's `cfg_interval` + 2).
    """
    batch, steps = len(condition), network.config.block_size
    guided = recipe.guidance_scale > 1
    guided_tokens = steps if guided_tokens is None else guided_tokens
    if guided:
        condition = torch.cat([condition, network.unconditional(batch)])
        mask = None if mask is None else mask.repeat(2, 1)
    redraw = Redraw(recipe.differential) if recipe.differential else None
    logits, cache = network.prefill(condition, mask)
    tokens: list[Tensor] = []
    for step in range(steps):
        if step > 0:
            logits = network.decode(tokens[-1].repeat(2 if guided else 1), cache)
        conditional, unconditional = logits[:batch], logits[batch:]
        if guided and step < guided_tokens:
            conditional = guide(unconditional, conditional, recipe.guidance_scale)
        tokens.append(_draw_token(conditional, step, steps, recipe, streams, redraw))
    rows = 2 if guided else 1
    return TokenSequences(torch.stack(tokens, dim=1), rows * steps, steps)


def _draw_token(
    logits: Tensor, step: int, steps: int, recipe: Recipe, streams: Streams, redraw: "Redraw | None"
) -> Tensor:
    if recipe.noise:
        normal = streams.normal("regularization", step, logits.shape[1:])
        logits = regularize(logits, normal, noise_deviation(recipe.noise, step, steps))
    log_probs = temper(logits, recipe.temperature)  # [B, V]
    if redraw:
        log_probs = redraw(log_probs)
    log_probs = truncate(log_probs, recipe.top_k, recipe.top_p)
    return draw(log_probs, streams.uniform("tokens", step, ()), recipe.temperature)


class Redraw:
    """Differential sampling along a sequence, where each step has one new position.

    A position's distribution is compared with that of the position before it. Where the divergence
    is among the lowest z percent that the image has shown so far, the token is drawn from the
    change instead. The first 16 positions are only watched.
    Source: paper Sec. 3, differential sampling; the transfer to sequences is ours, since the paper
    does not say what stands for its neighbouring steps.
    """

    def __init__(self, choice: Differential) -> None:
        self.choice = choice
        self.previous: Tensor | None = None
        self.divergences: list[Tensor] = []

    def __call__(self, current: Tensor) -> Tensor:
        """Return the log-probabilities [B, V] to draw the next token from."""
        previous, self.previous = self.previous, current
        if previous is None:
            return current
        self.divergences.append(divergence(current, previous))
        if len(self.divergences) < WARM_UP:
            return current
        seen = torch.stack(self.divergences, dim=1)  # [B, positions]
        count = int(seen.shape[1] * self.choice.percent / 100)
        low = lowest(seen, count)[:, -1:]
        changed = torch.where(low, difference(current, previous, self.choice.rule), current)
        if self.choice.carry == "modified":
            self.previous = changed
        return changed
