"""Charts as strips, one beside each row of a table: places on an axis in percent of its width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.tables.colors import model_colors, recipe_shapes

TICKS = 6  # at most about as many as this
MARGIN = 4.0  # percent of a strip left free at each end


class Tick(NamedTuple):
    """A value that is written on the axis, and its place."""

    text: str
    place: float


@dataclass(frozen=True)
class Axis:
    """Values from low to high, placed from one percentage to another."""

    low: float
    high: float
    first: float
    last: float

    def place(self, value: float) -> float:
        """Return where a value lies, in percent."""
        space = (self.high - self.low) or abs(self.high) or 1.0
        return round(self.first + (self.last - self.first) * (value - self.low) / space, 2)

    def ticks(self, scale: float = 1) -> tuple[Tick, ...]:
        """Return round values with their places, written in units of 1 / scale."""
        found = values_within(scale * self.low, scale * self.high)
        return tuple(Tick(f"{value:.6g}", self.place(value / scale)) for value in found)


# The markers of recipes, within five pixels around a point; by Vega's names, which pages draw.
PATHS = {
    "circle": "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0-4.5 0Z",
    "square": "M-4-4H4V4H-4Z",
    "triangle-up": "M0-5L5 4H-5Z",
    "cross": "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "diamond": "M0-5.5L5 0L0 5.5L-5 0Z",
    "triangle-down": "M0 5L5-4H-5Z",
    "triangle-right": "M5 0L-4 5V-5Z",
    "triangle-left": "M-5 0L4 5V-5Z",
    "arrow": "M0-5.5L3.5 0H1.2V5.5H-1.2V0H-3.5Z",
    "wedge": "M0-5.5L2.2 5.5H-2.2Z",
}


class Look(NamedTuple):
    """What an entry is known by: its model's color and its recipe's marker."""

    color: str
    shape: str


class Mark(NamedTuple):
    """A value and the ends of its interval, and how it is drawn."""

    low: float
    value: float
    high: float
    color: str
    path: str


class Segment(NamedTuple):
    """A piece of a stacked bar: its length and what it stands for."""

    length: float
    color: str
    label: str


@dataclass(frozen=True)
class Strips:
    """A strip for each row of a table, None for one without a value, below an axis."""

    ticks: tuple[Tick, ...]
    rows: Sequence[Mark | None]
    null: float | None  # the place of the value that intervals are held against


@dataclass(frozen=True)
class Bars:
    """A stacked bar for each row of a table, on one scale that begins at zero."""

    legend: tuple[tuple[str, str], ...]  # label and color
    rows: Sequence[Sequence[Segment]]


def looks_of(board: Leaderboard) -> dict[str, Look]:
    """Return how each entry of a study is drawn, wherever it is."""
    colors = model_colors(standing.model for standing in board.standings)
    shapes = recipe_shapes(standing.entry for standing in board.standings)
    return {one.entry: Look(colors[one.model], shapes[one.entry]) for one in board.standings}


def interval_strips(
    estimates: Sequence[Estimate | None],
    looks: Sequence[Look],
    *,
    scale: float = 1,
    null: float | None = None,
) -> Strips:
    """Return strips of estimates, each in its look; `null` is what intervals are held against."""
    ends = [end for found in estimates if found for end in ends_of(found)]
    ends += [] if null is None else [null]
    axis = Axis(min(ends, default=0.0), max(ends, default=0.0), MARGIN, 100 - MARGIN)

    def mark(found: Estimate, look: Look) -> Mark:
        low, value, high = (axis.place(end) for end in ends_of(found))
        return Mark(low, value, high, look.color, PATHS[look.shape])

    marks = [
        mark(found, look) if found else None for found, look in zip(estimates, looks, strict=True)
    ]
    return Strips(axis.ticks(scale), marks, None if null is None else axis.place(null))


def stacked_bars(rows: Sequence[dict[str, float]], colors: dict[str, str]) -> Bars:
    """Return bars of parts by name, the longest filling its strip; `colors` gives their order."""
    longest = max((sum(row.values()) for row in rows), default=0.0) or 1.0
    present = {name for row in rows for name in row}
    legend = tuple((name, color) for name, color in colors.items() if name in present)
    bars = [
        [Segment(round(100 * row[name] / longest, 2), color, name) for name, color in legend
         if name in row]
        for row in rows
    ]  # fmt: skip
    return Bars(legend, bars)


def values_within(low: float, high: float) -> list[float]:
    """Return round values between two limits: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, last + 1)]


def ends_of(found: Estimate) -> tuple[float, float, float]:
    """Return the low end, value and high end of an estimate; the value alone where it is all."""
    low, high = found.interval or (found.value, found.value)
    return low, found.value, high
