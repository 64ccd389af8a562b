"""Charts as strips, one beside each row of a table: places on an axis in percent of its width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bakeoff.evaluators.statistics import Estimate

TICKS = 4  # about as many as this
MARGIN = 4.0  # percent of a strip left free at each end


class Tick(NamedTuple):
    """A value that is written on the axis, and its place."""

    text: str
    place: float


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


@dataclass(frozen=True)
class Bars:
    """A stacked bar for each row of a table, on one scale that begins at zero."""

    legend: tuple[tuple[str, str], ...]  # label and color
    rows: Sequence[Sequence[Segment]]


def interval_strips(
    estimates: Sequence[Estimate | None],
    looks: Sequence[Look],
    *,
    scale: float = 1,
    null: float | None = None,
) -> Strips:
    """Return strips of estimates, each in its look; `null` is a value that the axis shall hold."""
    ends = [end for found in estimates if found for end in _ends(found)]
    ends += [] if null is None else [null]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    space = (high - low) or abs(high) or 1.0

    def place(value: float) -> float:
        return round(MARGIN + (100 - 2 * MARGIN) * (value - low) / space, 2)

    def mark(found: Estimate, look: Look) -> Mark:
        low, value, high = (place(end) for end in _ends(found))
        return Mark(low, value, high, look.color, PATHS[look.shape])

    marks = [
        mark(found, look) if found else None for found, look in zip(estimates, looks, strict=True)
    ]
    ticks = (Tick(f"{scale * value:.6g}", place(value)) for value in ticks_within(low, high))
    return Strips(tuple(ticks), marks)


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


def ticks_within(low: float, high: float) -> list[float]:
    """Return round values between two limits: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, last + 1)]


def _ends(found: Estimate) -> tuple[float, float, float]:
    low, high = found.interval or (found.value, found.value)
    return low, found.value, high
