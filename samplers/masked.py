"""The loop of masked generative transformers: predict, draw, and mask the least confident again.

Order within a step: network and guidance, momentum solver, noise regularization, softmax,
differential sampling, truncation, draw, confidence, masking. The solver acts on the network's
prediction, and all that follows on the solver's. Z-sampling goes back after a step and takes it
again; what compares steps with each other takes the last leg of each.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bakeoff.samplers.choices import Zigzag
from bakeoff.samplers.combinations import check_drawn_mask, check_redrawn
from bakeoff.samplers.cost import rows
from bakeoff.samplers.distribution import (
    Rows,
    difference,
    draw,
    least_changed,
    regularize,
    temper,
    truncate,
)
from bakeoff.samplers.momentum import Solver, highest
from bakeoff.samplers.orders import Ranking
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.remasking import backtrack, backtrack_score, gumbel, remask
from bakeoff.samplers.schedules import (
    masked_after,
    noise_deviation,
    raw_counts,
)
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback, Tracer


class Predict(Protocol):
    """The network with guidance: logits [B, K, C] for tokens [B, H, W].

    `timestep` counts the steps that are left after this one; scale 1 is the conditional prediction
    alone, scale 0 the unconditional one, and these two evaluate one row per image instead of two.
    With `where` [B, K] only the logits of the positions that it marks are given, [marked, C].
    """

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        """Return the guided logits."""
        ...


@dataclass(frozen=True)
class MaskedSample:
    """Finished tokens [B, H, W] and what they cost; row-evaluations are per image."""

    tokens: Tensor
    row_evaluations: int
    network_calls: int


@dataclass(frozen=True)
class Leg:
    """What a forward leg leaves to later ones, as far as the recipe asks for it.

    prediction: guided logits, for the solver; distribution: log-probabilities, for differential
    sampling.
    """

    prediction: Rows | None = None
    distribution: Rows | None = None


def sample_masked(
    predict: Predict,
    start: Tensor,
    mask_token_id: int,
    recipe: Recipe,
    streams: Streams,
    callback: Callback | None = None,
    mask_code: int | None = None,
) -> MaskedSample:
    """Fill in the unknown tokens of `start` [B, H, W] as the recipe says.

    `mask_code` is the last logit of networks that predict the mask among the codes. Where the
    recipe has it drawn and masked again, tokens may stay unknown to the end.
    Source: Meissonic `scheduler.py` and `pipeline.py`; MaskGIT's three loops; paper Sec. 3.

    Raises:
        InputError: the recipe does not suit the family or the network.
    """
    recipe.check_family("masked")
    check_drawn_mask(recipe, mask_code is not None)
    check_redrawn(recipe, start[0].numel())
    loop = _Loop(predict, start, mask_token_id, recipe, streams, callback, mask_code)
    tokens = start
    for step in range(loop.steps):
        tokens = loop.step(tokens, step)
    return MaskedSample(tokens, loop.row_evaluations, loop.network_calls)


class _Loop:
    """The state of one generation: what earlier legs left, and the cost so far."""

    def __init__(
        self,
        predict: Predict,
        start: Tensor,
        mask_token_id: int,
        recipe: Recipe,
        streams: Streams,
        callback: Callback | None,
        mask_code: int | None,
    ) -> None:
        assert recipe.steps is not None
        self.network, self.mask, self.recipe, self.streams = predict, mask_token_id, recipe, streams
        self.steps = recipe.steps
        self.counts = raw_counts(recipe.schedule, self.steps, start[0].numel()).tolist()
        self.ranking = Ranking(recipe, self.steps, start, streams)
        self.suppressed = mask_code if recipe.drawn_mask == "suppress" else None
        self.remasked = mask_code if recipe.drawn_mask == "remask" else None
        self.solver: Solver | None = None
        if recipe.momentum:
            self.solver = Solver(recipe.momentum, recipe.schedule, self.steps)
        self.tracer = Tracer(callback, mask_token_id) if callback else None
        everywhere = torch.ones_like(start.flatten(1), dtype=torch.bool)
        self.everywhere = everywhere if _looks_everywhere(recipe) else None
        self.latest, self.settled = Leg(), Leg()  # the last leg, and the last of the step before
        self.row_evaluations = self.network_calls = 0

    def step(self, tokens: Tensor, step: int) -> Tensor:
        """Take a step; with Z-sampling go back from its result and take it again."""
        zigzag, timestep = self.recipe.zigzag, self.steps - 1 - step
        scale = self.recipe.guidance_at(step, self.steps)
        self.settled = self.latest
        prediction = self.predict(tokens, timestep, scale)
        after = self.advance(prediction, tokens, step)
        if zigzag is None or not zigzag.turns(step, self.steps):
            return after
        back = self.go_back(tokens, after, step, zigzag)
        if self.tracer:
            self.tracer.backtrack(back)
        if back is not tokens:  # from the same tokens the network would say the same again
            prediction = self.predict(back, timestep, scale)
        return self.advance(prediction, back, step, leg="zigzag ")

    def predict(self, tokens: Tensor, timestep: int, scale: float) -> Rows:
        """Return guided logits of the unknown tokens, or of all if a choice looks at all."""
        where = tokens.flatten(1) == self.mask if self.everywhere is None else self.everywhere
        return self.ask(tokens, timestep, scale, where)

    def ask(self, tokens: Tensor, timestep: int, scale: float, where: Tensor) -> Rows:
        """Return guided logits in float32 at the marks of `where` [B, K]; count what they cost."""
        self.row_evaluations += rows(scale)
        self.network_calls += 1
        if where is self.everywhere:
            logits = self.network(tokens, timestep, scale).flatten(0, 1)
        else:
            logits = self.network(tokens, timestep, scale, where)
        return Rows(logits[:, : self.suppressed].float(), where)

    def advance(self, prediction: Rows, tokens: Tensor, step: int, leg: str = "") -> Tensor:
        """Draw the unknown tokens and mask the least confident of them; [B, H, W]."""
        flat = tokens.flatten(1)  # [B, K]
        # The prediction's own marks, where it has those: see Rows.at.
        unknown = flat == self.mask if prediction.where is self.everywhere else prediction.where
        log_probs = self.distribute(prediction, step, leg)
        changed, redrawn = self.differentiate(log_probs, unknown, step)
        self.remember(prediction, log_probs, changed)
        distribution = self.cut(changed, unknown)
        uniform = self.streams.uniform(leg + "tokens", step, flat.shape[1:])
        count = masked_after(self.counts[step], unknown.sum(dim=1), step == self.steps - 1)
        if self.solver:
            result = self.solve(self.solver, distribution, flat, uniform, count, step, leg)
        else:
            drawn, confidence = self.pick(distribution, flat, uniform, step)
            score = self.ranking.score(confidence, step, leg)
            result = remask(drawn, score, count, self.mask)
        after = result.view_as(tokens)
        if self.tracer:
            self.tracer.forward(step, after, distribution, unknown, redrawn)
        return after

    def distribute(self, prediction: Rows, step: int, leg: str) -> Rows:
        """Return log-probabilities of a prediction: momentum solver, noise, softmax."""
        recipe, logits, where = self.recipe, prediction.values, prediction.where
        if self.solver and self.settled.prediction:
            logits = self.solver.predict(logits, self.settled.prediction.at(where), step)
        if recipe.noise:
            codes = logits.shape[1]
            width = codes if self.suppressed is None else codes + 1  # the same numbers for codes
            normal = self.streams.normal_at(leg + "regularization", step, width, where)[:, :codes]
            logits = regularize(logits, normal, noise_deviation(recipe.noise, step, self.steps))
        return Rows(temper(logits, recipe.temperature_at(step, self.steps)), where)

    def differentiate(self, current: Rows, unknown: Tensor, step: int) -> tuple[Rows, Tensor]:
        """Differential sampling: return the changed distribution, and where it is, [B, K].

        The first prediction has nothing to compare with, so that Z-sampling's second one of the
        first step is changed if calls are compared; the last step would commit what it redraws.
        """
        choice, selected = self.recipe.differential, torch.zeros_like(unknown)
        if choice is None:
            return current, selected
        previous = (self.latest if choice.compare == "calls" else self.settled).distribution
        if previous is None or (step == self.steps - 1 and not choice.last):
            return current, selected
        pool = unknown if choice.pool == "masked" else current.where
        selected = least_changed(current.at(pool), previous.at(pool), pool, choice.percent)
        values = current.values.clone()
        values[selected[current.where]] = difference(
            current.at(selected), previous.at(selected), choice.rule
        )
        return Rows(values, current.where), selected

    def remember(self, prediction: Rows, log_probs: Rows, changed: Rows) -> None:
        """Keep what later legs compare with."""
        solver, differential = self.recipe.momentum, self.recipe.differential
        carried = None
        if differential:
            carried = changed if differential.carry == "modified" else log_probs
        self.latest = Leg(prediction if solver and solver.order == 2 else None, carried)

    def cut(self, distribution: Rows, unknown: Tensor) -> Rows:
        """Return what tokens are drawn and ranked by: top-k and top-p, where they are wanted."""
        where = distribution.where if _draws_known(self.recipe) else unknown
        return Rows(truncate(distribution.at(where), self.recipe.top_k, self.recipe.top_p), where)

    def pick(
        self, distribution: Rows, flat: Tensor, uniform: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Draw the unknown ones of tokens [B, K]; return all and their log-probability, [B, K].

        Known tokens stay; their log-probability is infinite where the distribution has none, and
        where they are redrawn.
        """
        recipe, where = self.recipe, distribution.where
        deterministic = recipe.argmax_from is not None and step >= recipe.argmax_from
        temperature = 0.0 if deterministic else recipe.temperature
        codes = draw(distribution.values, uniform[where], temperature)
        known = flat[where] != self.mask
        redrawn = recipe.order.known == "redraw"
        if not redrawn:
            codes = torch.where(known, flat[where], codes)
        log_probs = distribution.values.gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        if redrawn:
            log_probs = log_probs.masked_fill(known, torch.inf)
        confidence = torch.full(flat.shape, torch.inf, device=flat.device)
        confidence[where] = log_probs
        if self.remasked is not None:
            codes = codes.masked_fill(codes == self.remasked, self.mask)
        return flat.masked_scatter(where, codes), confidence

    def solve(
        self,
        solver: Solver,
        distribution: Rows,
        flat: Tensor,
        uniform: Tensor,
        count: Tensor,
        step: int,
        leg: str,
    ) -> Tensor:
        """Return tokens [B, K] with the solver's shares of this prediction and the one before.

        Both are drawn with the same random numbers.
        """
        pool, unknown = distribution.where, (flat == self.mask).sum(dim=1)
        taken, earlier = solver.shares(unknown, count, flat.shape[1], step)
        drawn, confidence = self.pick(distribution, flat, uniform, step)
        now = highest(self.ranking.score(confidence, step, leg), pool, taken - earlier)
        result = torch.where(now, drawn, flat)
        before = self.settled.prediction
        if before and solver.earlier[step]:
            temperature = self.recipe.temperature_at(step, self.steps)
            log_probs = Rows(temper(before.at(pool), temperature), pool)
            drawn, confidence = self.pick(self.cut(log_probs, pool), flat, uniform, step)
            score = self.ranking.score(confidence, step, leg)
            then = highest(score, pool & ~now, earlier)
            result = torch.where(then, drawn, result)
        return result

    def go_back(self, before: Tensor, after: Tensor, step: int, zigzag: Zigzag) -> Tensor:
        """Mask known tokens again, about as many as the step revealed; [B, H, W]."""
        if zigzag.rule == "recover":
            return before
        flat = after.flatten(1)
        score = self.streams.uniform("zigzag backtrack", step, flat.shape[1:])
        if zigzag.inverts:
            known = flat != self.mask
            inversion = self.ask(after, self.steps - 2 - step, zigzag.guidance, known)
            noise = self.ranking.temperatures[step] * gumbel(score[known])
            log_probs = temper(inversion.values, 1.0)
            score[known] = backtrack_score(zigzag.rule, log_probs, flat[known], noise)
        return backtrack(before, after, score, zigzag.rule, self.mask)


def _looks_everywhere(recipe: Recipe) -> bool:
    """Whether a choice looks at predictions of known tokens, or will once they are masked again."""
    differential, solver, goes_back = recipe.differential, recipe.momentum, bool(recipe.zigzag)
    return (
        _draws_known(recipe)
        or (differential is not None and (differential.pool == "all" or goes_back))
        or (solver is not None and solver.order == 2 and goes_back)
    )


def _draws_known(recipe: Recipe) -> bool:
    """Whether known tokens have a distribution of their own to be drawn or ranked by."""
    redrawn = recipe.order.known == "redraw"
    return redrawn or (recipe.momentum is not None and recipe.momentum.pool == "all")
