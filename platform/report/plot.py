"""Quality against cost as a drawing: places in percent of its width and height."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from bakeoff.platform.conclusions.efficiency import Spot
from bakeoff.platform.report.strips import PATHS, Axis, Look, Tick, ends_of

LEFT, RIGHT, TOP, BOTTOM = 11.0, 97.0, 6.0, 86.0  # percent; beyond stand the axes' numbers
FAR = 65.0  # percent; names of points beyond stand to their left


class Point(NamedTuple):
    """An entry's cost, and its quality with the ends of its interval."""

    entry: str
    name: str  # written beside it
    x: float
    low: float
    y: float
    high: float
    color: str
    path: str
    is_on_front: bool
    is_below: bool  # where its name stands

    @property
    def is_far(self) -> bool:
        """Whether there is no room for the name to its right."""
        return self.x > FAR


class Line(NamedTuple):
    """A straight piece of the front."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Plot:
    """Entries between a cost (right is more) and a quality (up is more), and their front."""

    title: str
    x_title: str
    y_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    front: Sequence[Line]
    points: Sequence[Point]


def front_plot(
    title: str,
    spots: Sequence[Spot],
    looks: Mapping[str, Look],
    *,
    x_title: str,
    y_title: str,
    scale: float = 1,
) -> Plot:
    """Return a drawing of entries; qualities are written in units of 1 / scale."""
    ends = [end for spot in spots for end in ends_of(spot.quality)]
    across = Axis(0.0, max(spot.cost for spot in spots), LEFT, RIGHT)
    up = Axis(min(ends), max(ends), BOTTOM, TOP)
    points = [_point(spot, looks[spot.entry], across, up) for spot in spots]
    best = sorted((point for point in points if point.is_on_front), key=lambda point: point.x)
    # Names of neighbors stand above and below in turn, so that they do not cover each other.
    under = {point.entry for point in best[1::2]}
    points = [point._replace(is_below=point.entry in under) for point in points]
    front = []
    for one, following in pairwise(best):
        front.append(Line(one.x, one.y, following.x, one.y))
        front.append(Line(following.x, one.y, following.x, following.y))
    return Plot(title, x_title, y_title, across.ticks(), up.ticks(scale), front, points)


def _point(spot: Spot, look: Look, across: Axis, up: Axis) -> Point:
    low, value, high = map(up.place, ends_of(spot.quality))
    name = (spot.entry.partition("/")[2] or spot.entry) if spot.is_on_front else ""
    place = across.place(spot.cost)
    path = PATHS[look.shape]
    return Point(
        entry=spot.entry,
        name=name,
        x=place,
        low=low,
        y=value,
        high=high,
        color=look.color,
        path=path,
        is_on_front=spot.is_on_front,
        is_below=False,
    )
