"""Unmasking orders: which of the drawn tokens stay."""

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.remasking import gumbel
from bakeoff.samplers.schedules import masking_temperatures
from bakeoff.samplers.streams import Streams


class Ranking:
    """The unmasking order of a generation that begins with tokens `start` [B, H, W]."""

    def __init__(self, recipe: Recipe, steps: int, start: Tensor, streams: Streams) -> None:
        self.rule, self.streams = recipe.order.rule, streams
        # The momentum solver ranks without masking noise, in Z-sampling too.
        ends = (0.0, 0.0) if recipe.momentum else recipe.masking_temperature
        self.temperatures = masking_temperatures(*ends, steps).tolist()
        if self.rule == "halton":
            self.places = halton_places(start, streams, roll=recipe.order.roll)

    def score(self, confidence: Tensor, step: int, leg: str) -> Tensor:
        """Return how much each token is worth keeping, [B, K].

        confidence [B, K]: log-probability of the tokens drawn; infinite for known ones, which stay
        before all others.
        """
        temperature = self.temperatures[step]
        if self.rule == "halton":
            score = -self.places
        elif self.rule == "confidence" and temperature == 0:
            return confidence
        else:
            score = gumbel(self.streams.uniform(leg + "confidence", step, confidence.shape[1:]))
            if self.rule == "confidence":
                score = confidence + temperature * score
        return score.masked_fill(confidence == torch.inf, torch.inf)


def halton_cells(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Give each cell (row, column) of a grid once, in the order of Halton's sequence.

    Point k = 1, 2, … has as row and column its radical inverses in base 2 and 3: its digits
    mirrored behind the point, times the side. Whole numbers keep them exact.
    Source: Halton-MaskGIT `halton_sampler.py`, which does the same with 10,000 points.
    """
    seen: set[tuple[int, int]] = set()
    point = 0
    while len(seen) < height * width:
        point += 1
        cell = (_mirrored(point, 2, height), _mirrored(point, 3, width))
        if cell not in seen:
            seen.add(cell)
            yield cell


def _mirrored(number: int, base: int, side: int) -> int:
    """Return the radical inverse of a number, times a side, rounded down."""
    digits, scale = 0, 1
    while number:
        number, digit = divmod(number, base)
        digits, scale = digits * base + digit, scale * base
    return digits * side // scale


@cache
def halton_ranks(height: int, width: int) -> Tensor:
    """Return the place of each token [H W] in the order of Halton's sequence, from 0."""
    order = torch.tensor([row * width + column for row, column in halton_cells(height, width)])
    return order.argsort()


def halton_places(start: Tensor, streams: Streams, *, roll: bool) -> Tensor:
    """Return the place of each token of `start` [B, H, W] in the order, float32 [B, H W].

    With `roll` every image begins somewhere else in the same order.
    """
    count = start[0].numel()
    places = halton_ranks(*start.shape[1:]).to(start.device).expand(len(start), -1)
    if roll:
        begin = (streams.uniform("order", 0, (1,)) * count).long()
        places = (places + begin) % count
    return places.float()
