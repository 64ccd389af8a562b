"""The autoregressive loop: image tokens in raster order, one network call for each."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bakeoff.samplers.cost import guided_positions, token_evaluations
from bakeoff.samplers.distribution import (
    difference,
    divergence,
    draw,
    entropy,
    guide,
    lowest,
    regularize,
    temper,
    truncate,
)
from bakeoff.samplers.networks.key_value_cache import KeyValueCache
from bakeoff.samplers.networks.llamagen import LlamaGenTransformer
from bakeoff.samplers.recipe import Differential, Recipe
from bakeoff.samplers.schedules import noise_deviation
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback, StepRecord

# Differential sampling needs some divergences to tell a low one.
WARM_UP = 16


@dataclass(frozen=True)
class TokenSequences:
    """Tokens [B, N] and what each image cost, int64 [B].

    A row-evaluation is one network pass of one row over one position (the pass over the condition
    counts as one): N tokens cost N, or 2 N with guidance. Rows that only pad a batch do not count.
    """

    tokens: Tensor
    row_evaluations: np.ndarray
    network_calls: np.ndarray


def generate_tokens(
    network: LlamaGenTransformer,
    condition: Tensor,
    mask: Tensor | None,
    recipe: Recipe,
    streams: Streams,
    callback: Callback | None = None,
    clock: Stopwatch | None = None,
) -> TokenSequences:
    """Draw the N image tokens of B images, one image for each seed of `streams`.

    condition [B, ...] and mask [B, T] as the network takes them; `callback` sees every position;
    `clock` counts the time up to hidden states to the stage `network`, from there on to `draw`.
    """
    batch, steps = len(condition), network.config.block_size
    clock = clock or Stopwatch(condition.device)
    guided = guided_positions(recipe, steps)
    hidden, cache = prefill(network, condition, mask, guided)
    position = _Position(recipe, streams, steps)
    tokens = torch.full((batch, steps), -1, device=hidden.device)
    for step in range(steps):
        if step > 0:
            if step == guided.stop:
                cache.keep(torch.arange(batch, device=hidden.device))
            hidden = network.decode(tokens[:, step - 1].repeat(cache.rows // batch), cache)
        clock.lap("network")
        if step in guided:
            given, without = hidden.float().split(batch)
            # The head is linear without bias: guiding before it gives the same and halves its work.
            hidden = guide(without, given, recipe.guidance_scale).to(hidden.dtype)
        tokens[:, step] = position.draw(network.head(hidden[:batch]), step)
        if callback:
            callback(position.record(tokens, step))
        clock.lap("draw")
    cost = np.full(batch, token_evaluations(recipe, steps))
    return TokenSequences(tokens, cost, np.full(batch, steps))


def prefill(
    network: LlamaGenTransformer, condition: Tensor, mask: Tensor | None, guided: range
) -> tuple[Tensor, KeyValueCache]:
    """Feed the condition of B images, and behind it the unconditional one if any are guided."""
    if guided.stop:
        condition = torch.cat([condition, network.unconditional(len(condition))])
        mask = None if mask is None else mask.repeat(2, 1)
    return network.prefill(condition, mask)


class _Position:
    """From logits to the token of one position after the other, as the recipe says."""

    def __init__(self, recipe: Recipe, streams: Streams, steps: int) -> None:
        self.recipe, self.streams, self.steps = recipe, streams, steps
        self.uniform = streams.uniform("tokens", 0, (steps,))  # [B, N]
        self.argmax_from = steps if recipe.argmax_from is None else recipe.argmax_from
        self.redraw = Redraw(recipe.differential) if recipe.differential else None
        self.drawn: Tensor | None = None  # log-probabilities [B, V] that the token was drawn from
        self.previous: Tensor | None = None  # those of the position before

    def draw(self, logits: Tensor, step: int) -> Tensor:
        """Return tokens [B] from guided logits [B, V]."""
        recipe = self.recipe
        if recipe.noise:
            normal = self.streams.normal("regularization", step, logits.shape[1:])
            logits = regularize(logits, normal, noise_deviation(recipe.noise, step, self.steps))
        predicted = temper(logits, recipe.temperature)
        changed = self.redraw(predicted) if self.redraw else predicted
        self.previous = self.drawn
        self.drawn = truncate(changed, recipe.top_k, recipe.top_p)
        temperature = 0.0 if step >= self.argmax_from else recipe.temperature
        return draw(self.drawn, self.uniform[:, step], temperature)

    def record(self, tokens: Tensor, step: int) -> StepRecord:
        """Return what a callback sees of tokens [B, N] after a step."""
        assert self.drawn is not None
        change = torch.full_like(self.drawn[:, 0], torch.nan)
        if self.previous is not None:
            change = divergence(self.drawn, self.previous)
        return StepRecord(
            step=step,
            phase="forward",
            tokens=as_grid(tokens),
            masked=(tokens < 0).sum(dim=1),
            entropy=entropy(self.drawn),
            divergence=change,
            redrawn=self.redraw.low if self.redraw else torch.zeros_like(change),
        )


def as_grid(tokens: Tensor) -> Tensor:
    """Return a copy of tokens [B, N] as a square grid [B, h, w]."""
    side = round(tokens.shape[1] ** 0.5)
    return tokens.clone().unflatten(1, (side, side))


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
        self.low = torch.zeros(0)  # 1 for the images whose last distribution was replaced, [B]

    def __call__(self, current: Tensor) -> Tensor:
        """Return the log-probabilities [B, V] to draw the next token from."""
        self.low = torch.zeros_like(current[:, 0])
        previous, self.previous = self.previous, current
        if previous is None:
            return current
        self.divergences.append(divergence(current, previous))
        if len(self.divergences) < WARM_UP:
            return current
        seen = torch.stack(self.divergences, dim=1)  # [B, positions]
        count = int(seen.shape[1] * self.choice.percent / 100)
        low = lowest(seen, count)[:, -1:]
        self.low = low[:, 0].to(current.dtype)
        changed = torch.where(low, difference(current, previous, self.choice.rule), current)
        if self.choice.carry == "modified":
            self.previous = changed
        return changed
