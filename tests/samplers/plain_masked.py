"""The masked loop as one would first write it, the reference for the fast one.

One image at a time, all logits for all tokens, a draw at every position, no state but lists.
"""

import math

import numpy as np
import torch
from torch import Tensor

from bakeoff.samplers.distribution import (
    difference,
    draw,
    regularize,
    temper,
    truncate,
)
from bakeoff.samplers.masked import Predict
from bakeoff.samplers.orders import halton_cells
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.schedules import mask_ratio, noise_deviation, raw_counts
from bakeoff.samplers.streams import Streams


def plain_sample(
    predict: Predict, start: Tensor, mask: int, recipe: Recipe, seed: int, mask_code: int
) -> tuple[Tensor, list[int]]:
    """Return the tokens [H, W] of one image and how many were masked after every change."""
    image = _Plain(predict, start, mask, recipe, Streams([seed]), mask_code)
    for step in range(recipe.steps):
        image.step(step)
    return image.tokens.view_as(start), image.masked


class _Plain:
    def __init__(
        self,
        predict: Predict,
        start: Tensor,
        mask: int,
        recipe: Recipe,
        streams: Streams,
        mask_code: int,
    ) -> None:
        self.predict, self.shape, self.mask, self.mask_code = predict, start.shape, mask, mask_code
        self.recipe, self.streams = recipe, streams
        self.tokens, self.count = start.flatten().clone(), start.numel()
        self.masked: list[int] = []
        self.predictions: list[tuple[int, Tensor]] = []  # of each leg: step, logits [K, C]
        self.distributions: list[tuple[int, Tensor]] = []  # log-probabilities [K, C]

    def step(self, step: int) -> None:
        recipe, before = self.recipe, self.tokens
        start, stop = recipe.guidance_interval or (0, recipe.steps)
        scale = recipe.guidance_scale if start <= step < stop else 1.0
        if recipe.guidance_schedule == "linear" and scale > 1:
            scale = 1 + (scale - 1) * step / (recipe.steps - 1) if step else 1.0
        after = self.leg(before, step, scale, "")
        zigzag = recipe.zigzag
        if zigzag and zigzag.start <= step < recipe.steps - 1 and step < (zigzag.stop or 1e9):
            back = self.back(before, after, step)
            after = self.leg(back, step, scale, "zigzag ")
        self.tokens = after

    def network(self, tokens: Tensor, timestep: int, scale: float) -> Tensor:
        logits = self.predict(tokens.view(1, *self.shape), timestep, scale)[0].float()
        return logits[:, : self.mask_code] if self.recipe.drawn_mask == "suppress" else logits

    def leg(self, tokens: Tensor, step: int, scale: float, leg: str) -> Tensor:
        recipe, steps = self.recipe, self.recipe.steps
        logits = self.network(tokens, steps - 1 - step, scale)
        earlier = [one for when, one in self.predictions if when == step - 1][-1:]
        log_probs = self.noisy(self.extrapolated(logits, earlier, step), step, leg)
        changed = self.differential(log_probs, tokens == self.mask, step)
        self.predictions.append((step, logits))
        carried = recipe.differential and recipe.differential.carry == "modified"
        self.distributions.append((step, changed if carried else log_probs))
        uniform = self.streams.uniform(leg + "tokens", step, (self.count,))[0]
        drawn, confidence = self.drawn(changed, tokens, uniform, step)
        unknown = tokens == self.mask
        raw = int(raw_counts(recipe.schedule, steps, self.count)[step])
        left = max(1, min(int(unknown.sum()) - 1, raw)) if step < steps - 1 else 0
        if recipe.momentum:
            result = self.merged(drawn, confidence, tokens, uniform, left, earlier, step, leg)
        else:
            score = torch.where(unknown, self.score(confidence, step, leg), torch.inf)
            result = drawn.index_fill(0, score.argsort(stable=True)[:left], self.mask)
        self.masked.append(int((result == self.mask).sum()))
        return result

    def score(self, confidence: Tensor, step: int, leg: str) -> Tensor:
        order = self.recipe.order
        if order.rule == "random":
            return self.streams.uniform(leg + "confidence", step, (self.count,))[0]
        if order.rule == "confidence":
            return confidence + self.masking_noise(leg + "confidence", step)
        cells = [row * self.shape[1] + column for row, column in halton_cells(*self.shape)]
        if order.roll:
            begin = int(self.streams.uniform("order", 0, (1,)) * self.count)
            cells = cells[self.count - begin :] + cells[: self.count - begin]
        return torch.tensor([-cells.index(place) for place in range(self.count)]).float()

    def temperature(self, step: int) -> float:
        recipe, schedule = self.recipe, self.recipe.temperature_schedule
        if schedule is None:
            return recipe.temperature
        first = last = 1 / recipe.temperature
        if schedule.end is not None:
            last = 1 / schedule.end
        factor = first + (last - first) * step / (recipe.steps - 1) if step else first
        return 2 / factor if step < schedule.warmup else 1 / factor

    def extrapolated(self, logits: Tensor, earlier: list[Tensor], step: int) -> Tensor:
        momentum = self.recipe.momentum
        literal = momentum and momentum.rule == "paper_literal"
        if not earlier or momentum is None or momentum.order == 1 or literal:
            return logits
        before, now, after = self.sigma(step - 1), self.sigma(step), self.sigma(step + 1)
        k = (now - after) / (2 * (before - now)) if before > now else torch.inf
        k = min(k, momentum.cap) if now > after else 0.0
        if k == 0:
            return logits
        if momentum.space == "logits":
            return logits + k * (logits - earlier[0])
        p = (1 + k) * logits.softmax(-1) - k * earlier[0].softmax(-1)
        return (p.clamp_min(0) / p.clamp_min(0).sum(-1, keepdim=True)).log()

    def sigma(self, step: int) -> float:
        schedule, steps = self.recipe.schedule, self.recipe.steps
        if not 0 < step < steps:
            return float(step == 0)

        def curve(t: float) -> float:
            return float(mask_ratio(schedule, torch.tensor([t], dtype=torch.float64)))

        if schedule.counts == "increments":
            shares = [curve(1 - i / (steps - 1)) for i in range(steps)]
            return 1 - sum(share / math.fsum(shares) for share in shares[:step])
        both_ends = torch.linspace(0, 1, steps, dtype=torch.float64)
        return curve(both_ends[step - 1] if schedule.counts == "inclusive" else step / steps)

    def noisy(self, logits: Tensor, step: int, leg: str) -> Tensor:
        if self.recipe.noise:
            codes = logits.shape[1]
            width = codes + 1 if self.recipe.drawn_mask == "suppress" else codes
            shape = (self.count, width)
            normal = self.streams.normal(leg + "regularization", step, shape)[0, :, :codes]
            deviation = noise_deviation(self.recipe.noise, step, self.recipe.steps)
            logits = regularize(logits, normal, deviation)
        return temper(logits, self.temperature(step))

    def differential(self, log_probs: Tensor, unknown: Tensor, step: int) -> Tensor:
        choice, last = self.recipe.differential, step == self.recipe.steps - 1
        if choice is None or (last and not choice.last):
            return log_probs
        calls = choice.compare == "calls"
        earlier = [one for when, one in self.distributions if calls or when == step - 1]
        if not earlier:
            return log_probs
        previous, p = earlier[-1], log_probs.exp()
        terms = p * (log_probs - torch.where(previous < -46, -46.0, previous))
        terms[p == 0] = 0.0
        pool = unknown if choice.pool == "masked" else torch.ones_like(unknown)
        places = pool.nonzero().flatten()
        order = terms.sum(-1)[places].argsort(stable=True)
        count = int(len(places) * choice.percent / 100)
        changed = log_probs.clone()
        for place in places[order[:count]].tolist():
            changed[place] = difference(log_probs[place], previous[place], choice.rule)
        return changed

    def drawn(
        self, log_probs: Tensor, tokens: Tensor, uniform: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        recipe = self.recipe
        log_probs = truncate(log_probs, recipe.top_k, recipe.top_p)
        argmax = recipe.argmax_from is not None and step >= recipe.argmax_from
        codes = draw(log_probs, uniform, 0.0 if argmax else recipe.temperature)
        if recipe.order.known == "keep":
            codes = torch.where(tokens == self.mask, codes, tokens)
        confidence = log_probs.gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        if recipe.drawn_mask == "remask":
            codes = torch.where(codes == self.mask_code, self.mask, codes)
        return codes, confidence

    def merged(
        self,
        drawn: Tensor,
        confidence: Tensor,
        tokens: Tensor,
        uniform: Tensor,
        left: int,
        earlier: list[Tensor],
        step: int,
        leg: str,
    ) -> Tensor:
        momentum, unknown = self.recipe.momentum, tokens == self.mask
        before, now, after = self.sigma(step - 1), self.sigma(step), self.sigma(step + 1)
        kept = after / now if now > 0 else 0.0
        size = self.count if momentum.pool == "all" else int(unknown.sum())
        taken = size - (int(size * kept) if momentum.pool == "all" else left)
        share = 0.0
        if momentum.rule == "paper_literal" and earlier and after > 0 and now > after:
            share = (now - after) ** 2 / (2 * after * (before - now)) if before > now else torch.inf
        second = min(int(size * min(share, 1 - kept)), taken)
        pool = torch.ones_like(unknown) if momentum.pool == "all" else unknown
        first = self.top(self.score(confidence, step, leg), pool, taken - second)
        result = tokens.clone()
        result[first] = drawn[first]
        if second:
            log_probs = temper(earlier[0], self.temperature(step))
            drawn, confidence = self.drawn(log_probs, tokens, uniform, step)
            then = self.top(self.score(confidence, step, leg), pool & ~first, second)
            result[then] = drawn[then]
        return result

    def top(self, confidence: Tensor, pool: Tensor, count: int) -> Tensor:
        # of equal ones the later are taken, as masking takes the earlier
        order = torch.where(pool, confidence, torch.inf).argsort(stable=True)[: int(pool.sum())]
        marks = torch.zeros_like(pool)
        marks[order[len(order) - count :] if count else order[:0]] = True
        return marks

    def masking_noise(self, purpose: str, step: int) -> Tensor:
        start, end = self.recipe.masking_temperature
        way = step / (self.recipe.steps - 1) if step else 0.0
        temperature = float(np.float32(start + (end - start) * way))
        if self.recipe.momentum:
            temperature = 0.0
        uniform = self.streams.uniform(purpose, step, (self.count,))[0]
        return temperature * -(-uniform.clamp_min(1e-20).log()).clamp_min(1e-20).log()

    def back(self, before: Tensor, after: Tensor, step: int) -> Tensor:
        zigzag, known = self.recipe.zigzag, after != self.mask
        if zigzag.rule == "recover":
            self.masked.append(int((before == self.mask).sum()))
            return before
        score = self.streams.uniform("zigzag backtrack", step, (self.count,))[0]
        if zigzag.rule != "random":
            logits = self.network(after, self.recipe.steps - 2 - step, zigzag.guidance)
            log_probs = temper(logits, 1.0)
            score = -log_probs.amax(-1)
            if zigzag.rule == "low_token_prob":
                present = torch.where(known, after, 0).unsqueeze(-1)
                noise = self.masking_noise("zigzag backtrack", step)
                score = log_probs.gather(-1, present).squeeze(-1) + noise
        revealed = int((before == self.mask).sum()) - int((after == self.mask).sum())
        count = max(0, revealed - (zigzag.rule == "high_max_prob"))
        order = torch.where(known, score, torch.inf).argsort(stable=True)
        result = after.index_fill(0, order[:count], self.mask)
        self.masked.append(int((result == self.mask).sum()))
        return result
