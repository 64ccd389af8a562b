"""Speculative Jacobi decoding: an autoregressive model predicts a window of positions per pass.

Every position of the window has a draft, and a pass tells how likely each draft is behind those
before it. From the left, drafts are accepted or replaced as in speculative sampling, so that tokens
follow the distribution of the plain loop exactly; behind the first rejection, new drafts are drawn
for the next pass. Each image of a batch goes at its own pace.

A position has three random numbers for all passes: one draws its drafts, one decides, one draws the
replacement. They are as good as fresh ones, since a prediction never sees its own position or one
behind it, and each position is decided once. The first is the plain loop's: where a draft is drawn
from the right prediction, it is the plain loop's token.
Source: speculative Jacobi decoding, as published for autoregressive image models; a pace for each
image and fixed random numbers are ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.autoregressive import TokenSequences, as_grid, prefill
from bakeoff.samplers.cost import guided_positions
from bakeoff.samplers.distribution import divergence, draw, entropy, guide, temper, truncate
from bakeoff.samplers.networks.llamagen import LlamaGenTransformer
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.schedules import noise_deviation
from bakeoff.samplers.stopwatch import Stopwatch
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import Callback, StepRecord


@dataclass(frozen=True)
class Prediction:
    """What a pass says of S positions of some images [A], each from its `first` position on."""

    images: Tensor  # [A]
    first: Tensor  # [A]
    log_probs: Tensor  # [A, S, V]

    @property
    def places(self) -> Tensor:
        """The positions predicted, [A, S]."""
        return self.first[:, None] + torch.arange(self.log_probs.shape[1], device=self.first.device)

    def of(self, images: Tensor) -> "Prediction":
        """Return the part for some of the images."""
        rows = torch.isin(self.images, images)
        return Prediction(images, self.first[rows], self.log_probs[rows])


def decode_jacobi(
    network: LlamaGenTransformer,
    condition: Tensor,
    mask: Tensor | None,
    recipe: Recipe,
    streams: Streams,
    callback: Callback | None = None,
    clock: Stopwatch | None = None,
) -> TokenSequences:
    """Draw the N image tokens of B images as `generate_tokens` does, in fewer network calls.

    A pass over L positions costs L row-evaluations per row. A step that `callback` sees is a pass.
    """
    assert recipe.jacobi
    steps = network.config.block_size
    window = min(recipe.jacobi.window, steps - 1)
    clock = clock or Stopwatch(condition.device)
    predictor = _Predictor(network, condition, mask, recipe, streams, clock)
    drafts, prediction = _Drafts(steps, streams), predictor.begin()
    for step in range(steps):  # each pass accepts one token at least
        last, known = drafts.origin, drafts.known
        drafts.settle(prediction)
        if callback:
            callback(_record(step, drafts, last, known))
        images = (drafts.known < steps).nonzero()[:, 0]
        if not len(images):
            break
        # the token accepted last has not been fed yet; the last of all never is
        first = drafts.known[images].clamp(max=steps - window)
        prediction = predictor(drafts.tokens, images, first, window)
    return TokenSequences(drafts.tokens, predictor.row_evaluations, predictor.network_calls)


def accepted(now: Tensor, then: Tensor, uniform: Tensor) -> Tensor:
    """Return how many drafts hold, counted from the left, [B].

    A draft that had probability `then` [B, L] when it was drawn and has `now` behind the drafts
    before it holds if its uniform number is below now / then.
    """
    return (uniform * then < now).long().cumprod(dim=1).sum(dim=1)


def residual(now: Tensor, then: Tensor) -> Tensor:
    """Return the probabilities [..., V] of what replaces a rejected draft: max(now - then, 0)."""
    positive = (now - then).clamp_min(0)
    mass = positive.sum(dim=-1, keepdim=True)
    return torch.where(mass > 0, positive / mass, now)  # equal ones: rounding alone rejected


class _Drafts:
    """The tokens of B images, accepted or drafts, and the prediction that drafts came from."""

    def __init__(self, steps: int, streams: Streams) -> None:
        self.uniform = streams.uniform("tokens", 0, (steps,))  # [B, N]
        self.decision, self.replacement = streams.uniform("jacobi", 0, (2, steps)).unbind(dim=1)
        self.tokens = torch.zeros_like(self.uniform, dtype=torch.long)
        self.known = self.tokens[:, 0].clone()  # tokens accepted, [B]
        self.origin: Prediction | None = None

    def settle(self, prediction: Prediction) -> None:
        """Accept the drafts that hold behind those before them; draw the others anew."""
        images, places = prediction.images, prediction.places
        each = images[:, None], places
        row = torch.arange(len(images), device=images.device)
        column = places - prediction.first[:, None]
        drafts, probs = self.tokens[each], prediction.log_probs.exp()
        origin = self._origin(prediction)
        now, then = (x.gather(-1, drafts[..., None])[..., 0] for x in (probs, origin))
        # the draft of the last position was not fed to anything: it is drawn anew in any case
        decision = self.decision[each].masked_fill(column == column[:, -1:], torch.inf)
        before = places < self.known[images, None]
        end = accepted(now.masked_fill(before, torch.inf), then, decision)  # [A]
        drawn = draw(prediction.log_probs, self.uniform[each])
        rest = residual(probs[row, end], origin[row, end]).log()
        replaced = draw(rest, self.replacement[images, places[row, end]])
        drawn[row, end] = torch.where(end < places.shape[1] - 1, replaced, drawn[row, end])
        self._write(prediction, torch.where(column < end[:, None], drafts, drawn), end)

    def _origin(self, prediction: Prediction) -> Tensor:
        """Return the probabilities [A, S, V] that the drafts of a window were drawn from."""
        drafts = self.tokens[prediction.images[:, None], prediction.places]
        certain = F.one_hot(drafts, prediction.log_probs.shape[2]).float()
        if self.origin is None:
            return certain
        last = self.origin.of(prediction.images)
        column = prediction.places - last.first[:, None]
        size = last.log_probs.shape[1]
        index = column.clamp(0, size - 1)[..., None].expand_as(certain)
        past = last.log_probs.gather(1, index).exp()
        return torch.where((column < size)[..., None], past, certain)

    def _write(self, prediction: Prediction, drawn: Tensor, end: Tensor) -> None:
        """Put the tokens [A, S] of a window in place, of which those up to `end` [A] are final."""
        images, places = prediction.images, prediction.places
        # behind the window stand guesses: copies of the last token
        behind = torch.arange(self.tokens.shape[1], device=places.device) > places[:, -1:]
        self.tokens[images] = torch.where(behind, drawn[:, -1:], self.tokens[images])
        self.tokens[images[:, None], places] = drawn
        self.known = self.known.index_put((images,), prediction.first + end + 1)
        self.origin = prediction


class _Predictor:
    """The guided network for windows of positions: the rows of its cache, and what images cost."""

    def __init__(
        self,
        network: LlamaGenTransformer,
        condition: Tensor,
        mask: Tensor | None,
        recipe: Recipe,
        streams: Streams,
        clock: Stopwatch,
    ) -> None:
        self.clock = clock
        batch, self.steps = len(condition), network.config.block_size
        self.network, self.recipe = network, recipe
        self.streams = [Streams([seed], streams.device) for seed in streams.seeds]
        self.guided = guided_positions(recipe, self.steps)
        self.hidden, self.cache = prefill(network, condition, mask, self.guided)
        # the images of the cache's rows: those with the condition, then those without it
        self.given = torch.arange(batch, device=streams.device)
        self.without = self.given if self.guided.stop else self.given[:0]
        self.row_evaluations = np.zeros(batch, dtype=np.int64)
        self.network_calls = np.zeros(batch, dtype=np.int64)

    def begin(self) -> Prediction:
        """Return the prediction of position 0, which the condition alone gives."""
        self._count(1)
        return self._predict(self.hidden[:, None], torch.zeros_like(self.given))

    def __call__(self, tokens: Tensor, images: Tensor, first: Tensor, window: int) -> Prediction:
        """Predict the positions of some images from `first` [A] >= 1 on; tokens [B, N] are fed."""
        self.clock.lap("draw")
        self._keep(images, images[first < self.guided.stop])
        self._count(window)
        starts = first.new_zeros(len(tokens)).index_put((images,), first - 1)
        rows = torch.cat([self.given, self.without])
        fed = starts[rows, None] + torch.arange(window, device=rows.device)
        hidden = self.network.decode_window(
            tokens[rows[:, None], fed], starts[rows], self.cache, end=int(fed.max()) + 1
        )
        return self._predict(hidden, first)

    def _keep(self, given: Tensor, without: Tensor) -> None:
        kept = torch.cat([torch.isin(self.given, given), torch.isin(self.without, without)])
        if not kept.all():
            self.cache.keep(kept.nonzero()[:, 0])
        self.given, self.without = given, without

    def _count(self, positions: int) -> None:
        self.network_calls[self.given.cpu()] += 1
        self.row_evaluations[self.given.cpu()] += positions
        self.row_evaluations[self.without.cpu()] += positions

    def _predict(self, hidden: Tensor, first: Tensor) -> Prediction:
        """Return what hidden states [R, S, D] of the cache's rows tell."""
        self.clock.lap("network")
        given, without = hidden.split([len(self.given), len(self.without)])
        places = first[:, None] + torch.arange(hidden.shape[1], device=first.device)  # [A, S]
        if len(without):
            both = torch.isin(self.given, self.without)
            mixed = guide(without.float(), given[both].float(), self.recipe.guidance_scale)
            inside = (places[both] >= self.guided.start) & (places[both] < self.guided.stop)
            given = given.clone()
            given[both] = torch.where(inside[..., None], mixed.to(given.dtype), given[both])
        return Prediction(self.given, first, self._log_probs(self.network.head(given), places))

    def _log_probs(self, logits: Tensor, places: Tensor) -> Tensor:
        """Return the log-probabilities that tokens at `places` [A, S] are drawn from."""
        recipe = self.recipe
        if recipe.noise:
            logits = logits + self._noise(places, logits.shape[2])
        log_probs = truncate(temper(logits, recipe.temperature), recipe.top_k, recipe.top_p)
        if recipe.temperature == 0:
            certain = torch.ones_like(places, dtype=torch.bool)
        elif recipe.argmax_from is not None:
            certain = places >= recipe.argmax_from
        else:
            return log_probs
        likeliest = F.one_hot(log_probs.argmax(dim=-1), log_probs.shape[2]).float().log()
        return torch.where(certain[..., None], likeliest, log_probs)

    def _noise(self, places: Tensor, width: int) -> Tensor:
        assert self.recipe.noise
        rows = []
        for image, positions in zip(self.given.tolist(), places.tolist(), strict=True):
            for position in positions:
                normal = self.streams[image].normal("regularization", position, (width,))
                rows.append(noise_deviation(self.recipe.noise, position, self.steps) * normal)
        return torch.cat(rows).view(*places.shape, width)


def _record(step: int, drafts: _Drafts, last: Prediction | None, known: Tensor) -> StepRecord:
    """Return what a callback sees of a pass; `last` and `known` are those before it.

    The predictions of a pass are of all positions in its window that were not known.
    """
    now = drafts.origin
    assert now
    none = torch.full(known.shape, torch.nan, device=known.device)
    unknown = now.places >= known[now.images, None]  # [A, S]
    spread = entropy(now.log_probs).masked_fill(~unknown, torch.nan).nanmean(dim=1)
    change = none[now.images]
    if last:
        last = last.of(now.images)
        column, size = now.places - last.first[:, None], last.log_probs.shape[1]
        index = column.clamp(0, size - 1)[..., None].expand_as(now.log_probs)
        change = divergence(now.log_probs, last.log_probs.gather(1, index))
        change = change.masked_fill(~unknown | (column >= size), torch.nan).nanmean(dim=1)
    places = torch.arange(drafts.tokens.shape[1], device=known.device)
    left = places >= drafts.known[:, None]
    return StepRecord(
        step=step,
        phase="forward",
        tokens=as_grid(drafts.tokens.masked_fill(left, -1)),
        masked=left.sum(dim=1),
        entropy=none.index_put((now.images,), spread),
        divergence=none.index_put((now.images,), change),
        redrawn=none.index_put((now.images,), torch.zeros_like(spread)),
    )
