"""Captions of the embedded world: what they say, which scenes they fit, and which are held out.

The six tasks and the rules of truth are GenEval's, on detections that are exact in this world.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Any, Literal, Protocol

import numpy as np

from bakeoff.samplers.errors import InputError, shown
from bakeoff.samplers.tiny.world import COLORS, GRID, LARGE, SHAPES, SMALL, Object, Scene

Box = tuple[float, float, float, float]
Split = Literal["train", "held_out"]
TASKS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
PREFIXES = (
    "a photo of",
    "an image of",
    "a picture of",
    "a drawing of",
    "a painting of",
    "an icon of",
    "a print of",
    "",
)
RELATIONS = ("left of", "right of", "above", "below")
NUMBERS = {2: "two", 3: "three", 4: "four"}
PROMPTS_PER_TASK = 20
# One colour a shape whose two words never stand side by side in a training caption.
HELD_OUT_PAIRS = frozenset(zip(COLORS, (*SHAPES[2:], *SHAPES[:2]), strict=True))
HELD_OUT_COUNTS = frozenset({(2, "ring"), (3, "heart"), (4, "triangle")})


class Detected(Protocol):
    """What the rules need of a detection: its names and its box (x0, y0, x1, y1)."""

    @property
    def shape(self) -> str: ...  # noqa: D102
    @property
    def color(self) -> str: ...  # noqa: D102
    @property
    def box(self) -> Box: ...  # noqa: D102


@dataclass(frozen=True)
class Thing:
    """A mention of `count` equal objects; an unnamed colour is None."""

    shape: str
    color: str | None = None
    count: int = 1

    @property
    def name(self) -> str:
        """Its shape, behind its colour if that is named."""
        return f"{self.color} {self.shape}" if self.color else self.shape

    @property
    def held_out(self) -> bool:
        """Whether its words never stand together in a training caption."""
        return (self.color, self.shape) in HELD_OUT_PAIRS or (
            (self.count, self.shape) in HELD_OUT_COUNTS
        )

    def words(self) -> str:
        """Return the mention as it stands in a caption."""
        if self.count == 1:
            return f"a {self.name}"
        return f"{NUMBERS[self.count]} {_plural(self.name)}"


@dataclass(frozen=True)
class Caption:
    """One sentence of the grammar: a task, one or two things, and a relation where it has one."""

    task: str
    things: tuple[Thing, ...]
    relation: str | None = None
    prefix: str = PREFIXES[0]

    def text(self) -> str:
        """Return the sentence."""
        return self._sentence(thing.words() for thing in self.things)

    def shortened(self, share: float, rng: np.random.Generator) -> str:
        """Return the sentence with one word fewer in some mentions.

        Each that names a colour or a number besides the shape loses one of them with chance
        `share`, as in "a red", "three" or "rings"; words that are held out together always do.
        What is left is no held-out sentence either.
        """
        while True:
            text = self._sentence(_mention(thing, share, rng) for thing in self.things)
            if text not in _held_out_texts():
                return text

    def _sentence(self, mentions: Iterable[str]) -> str:
        joint = f" {self.relation} " if self.relation else " and "
        return f"{self.prefix} {joint.join(mentions)}".strip()

    def names_held_out_words(self) -> bool:
        """Tell whether a colour or a number stands with a shape that it is held out with."""
        return any(thing.held_out for thing in self.things)

    def held_out(self) -> bool:
        """Tell whether the sentence is kept out of training."""
        return self.names_held_out_words() or self.held_out_as_a_whole()

    def held_out_as_a_whole(self) -> bool:
        """Tell whether it is kept out for its phrase or for its combination of things."""
        if self.task == "single_object":
            return _share(self.prefix + self.things[0].shape) < 0.45
        if len(self.things) == 1:
            return False
        first, second = self.things
        if self.relation in ("right of", "below"):  # a left of b is b right of a
            first, second = second, first
        names = [f"{thing.color} {thing.shape}" for thing in (first, second)]
        if self.relation is None:
            return _share("and".join(sorted(names))) < 0.2
        axis = "beside" if self.relation in ("left of", "right of") else "above"
        return _share(axis.join([first.shape, second.shape])) < 0.2

    def expectation(self) -> dict[str, Any]:
        """Return what must be seen, in the form of GenEval's metadata."""
        include: list[dict[str, Any]] = []
        for thing in self.things:
            entry: dict[str, Any] = {"class": thing.shape, "count": thing.count}
            if thing.color:
                entry["color"] = thing.color
            include.append(entry)
        if self.relation:  # the first thing stands in relation to the second, listed first
            include = [include[1], include[0] | {"position": [self.relation, 0]}]
        exclude = [
            {"class": thing.shape, "count": thing.count + 1}
            for thing in self.things
            if self.task == "counting"
        ]
        return {"tag": self.task, "include": include, "exclude": exclude}


def _mention(thing: Thing, share: float, rng: np.random.Generator) -> str:
    """Return a thing's words, perhaps without its shape or without what stands before it."""
    full = thing.color is not None or thing.count > 1
    if not (thing.held_out or (full and rng.random() < share)):
        return thing.words()
    if rng.random() < 0.5:
        return f"a {thing.color}" if thing.count == 1 else NUMBERS[thing.count]
    return f"a {thing.shape}" if thing.count == 1 else _plural(thing.shape)


@cache
def _held_out_texts() -> frozenset[str]:
    captions = (c for task in TASKS for prefix in PREFIXES for c in _captions(task, prefix))
    return frozenset(caption.text() for caption in captions if caption.held_out())


def _plural(name: str) -> str:
    return f"{name}es" if name.endswith("s") else f"{name}s"


def _share(key: str) -> float:
    """Return a fixed pseudo-random share of a key, in [0, 1)."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def words() -> list[str]:
    """Return every word of the grammar."""
    texts = [*PREFIXES, *RELATIONS, *COLORS, *SHAPES, *map(_plural, SHAPES), *NUMBERS.values()]
    return sorted({word for text in [*texts, "a", "and"] for word in text.split()})


def _captions(task: str, prefix: str) -> Iterator[Caption]:
    """Yield every caption of a task with one prefix."""
    if task == "single_object":
        things: Iterator[tuple[Thing, ...]] = ((Thing(shape),) for shape in SHAPES)
    elif task == "counting":
        things = ((Thing(shape, None, n),) for n, shape in product(NUMBERS, SHAPES))
    elif task == "colors":
        things = ((Thing(shape, color),) for color, shape in product(COLORS, SHAPES))
    elif task == "color_attr":
        colors = permutations(COLORS, 2)
        things = (
            (Thing(a, c), Thing(b, d))
            for (c, d), (a, b) in product(colors, permutations(SHAPES, 2))
        )
    else:
        things = ((Thing(a), Thing(b)) for a, b in permutations(SHAPES, 2))
    relations = RELATIONS if task == "position" else (None,)
    for group, relation in product(things, relations):
        yield Caption(task, group, relation, prefix)


@dataclass(frozen=True)
class ShapesPrompt:
    """One prompt of the benchmark `shapes`, or of `shapes-classes`."""

    prompt_id: str
    prompt: str
    task: str
    expectation: dict[str, Any]


@cache
def shapes_prompts(split: Split = "held_out") -> tuple[ShapesPrompt, ...]:
    """Return the benchmark's prompts, tasks interleaved, in an order fixed by a hash of the text.

    The held-out colours and colour attributions differ: the first ask for a pair of words never
    seen together, the second for a pair of things never seen together.
    """
    columns = []
    for task in TASKS:
        every = [c for prefix in PREFIXES for c in _captions(task, prefix)]
        chosen = [c for c in every if c.held_out() == (split == "held_out")]
        if task == "color_attr":
            chosen = [c for c in chosen if not c.names_held_out_words()]
        chosen.sort(key=lambda caption: _share("order" + caption.text()))
        columns.append(chosen[:PROMPTS_PER_TASK])
    return tuple(
        ShapesPrompt(f"{split}/{c.task}/{row:02d}", c.text(), c.task, c.expectation())
        for row, captions in enumerate(zip(*columns, strict=True))
        for c in captions
    )


def class_captions() -> tuple[Caption, ...]:
    """Return the classes of the class-conditional models in the order of their ids.

    Each is one object of a colour and a shape; "a red circle" asks for the class "red circle".
    """
    return tuple(_captions("colors", ""))


def class_prompts() -> tuple[ShapesPrompt, ...]:
    """Return the prompts of the benchmark `shapes-classes`, one a class; the task is its shape."""
    return tuple(
        ShapesPrompt(f"{thing.color}-{thing.shape}", c.text(), thing.shape, c.expectation())
        for c in class_captions()
        for thing in c.things
    )


@cache
def class_scenes() -> tuple[tuple[int, Scene], ...]:
    """Return every scene of the classes with the id of its class: the object anywhere it fits."""
    things = [caption.things[0] for caption in class_captions()]
    spots = list(product(range(GRID - LARGE + 1), repeat=2))
    return tuple(
        (label, (Object(thing.shape, str(thing.color), LARGE, *spot),))
        for label, thing in enumerate(things)
        for spot in spots
    )


# Share of each kind of caption in training; `colored` names the colours where the task does not.
KINDS: dict[tuple[str, bool], float] = {
    ("single_object", False): 0.08,
    ("colors", True): 0.14,
    ("two_object", False): 0.10,
    ("color_attr", True): 0.22,
    ("counting", False): 0.12,
    ("counting", True): 0.08,
    ("position", False): 0.14,
    ("position", True): 0.12,
}


def sample(rng: np.random.Generator, *, any_words: bool = False) -> tuple[Caption, Scene]:
    """Draw a training caption (never a held-out one) and a scene that it describes.

    With `any_words` it may name held-out colours and numbers, for callers that shorten it.
    """
    kinds, shares = list(KINDS), list(KINDS.values())
    while True:
        task, colored = kinds[rng.choice(len(kinds), p=shares)]
        colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))[:2]]
        shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))[:2]]
        count = int(rng.integers(2, 5)) if task == "counting" else 1
        n = 2 if task in ("two_object", "color_attr", "position") else 1
        named = colors if colored else [None, None]
        things = tuple(Thing(shapes[i], named[i], count) for i in range(n))
        relation = RELATIONS[rng.integers(4)] if task == "position" else None
        caption = Caption(task, things, relation, PREFIXES[rng.integers(len(PREFIXES))])
        held_out = caption.held_out_as_a_whole() if any_words else caption.held_out()
        if not held_out:
            return caption, _place(caption, colors, rng)


def _place(caption: Caption, colors: Sequence[str], rng: np.random.Generator) -> Scene:
    """Lay out a caption: one anywhere, two in halves with a cell of play, more in quadrants."""
    if len(caption.things) == 1:
        thing = caption.things[0]
        if thing.count == 1:
            column, row = rng.integers(0, GRID - LARGE + 1, 2)
            return (Object(thing.shape, colors[0], LARGE, int(column), int(row)),)
        spots = [(0, 0), (SMALL, 0), (0, SMALL), (SMALL, SMALL)]
        if thing.count == 2:
            spots = _halves(int(rng.integers(2)), rng)
        chosen = sorted(rng.permutation(len(spots))[: thing.count])
        return tuple(Object(thing.shape, colors[0], SMALL, *spots[i]) for i in chosen)
    beside = caption.relation in ("left of", "right of")
    if caption.relation is None:
        beside = bool(rng.integers(2))
    spots = _halves(int(beside), rng)
    swap = caption.relation in ("right of", "below")
    if caption.relation is None:
        swap = bool(rng.integers(2))
    order = (1, 0) if swap else (0, 1)
    return tuple(
        Object(thing.shape, colors[i], SMALL, *spots[order[i]])
        for i, thing in enumerate(caption.things)
    )


def _halves(beside: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return (column, row) of two sprites side by side or one above the other, in that order."""
    play = [int(p) for p in rng.integers(1, GRID - SMALL, 2)]
    if beside:
        return [(0, play[0]), (SMALL, play[1])]
    return [(play[0], 0), (play[1], SMALL)]


def check_expectation(expectation: Mapping[str, Any]) -> None:
    """Check that the detector can tell whether a picture shows what is expected.

    Raises:
        InputError: it names no objects, or a class or color that no picture of this world has.
    """
    wanted, unwanted = (expectation.get(name) or [] for name in ("include", "exclude"))
    if not wanted:
        raise InputError(f"expectation {shown(dict(expectation))} must include an object")
    for listed in (wanted, unwanted):
        if not isinstance(listed, list | tuple) or not all(map(_is_counted, listed)):
            told = f"objects {shown(listed)} of an expectation"
            raise InputError(f"{told} must be a list of {{class: …, count: 1 or more}}")
    for entry in (*wanted, *unwanted):
        for name, known in (("class", SHAPES), ("color", tuple(COLORS))):
            if (name == "class" or name in entry) and entry.get(name) not in known:
                told = f"{name} {shown(entry.get(name))} of an expectation"
                raise InputError(f"{told} is unknown to the detector: it knows {', '.join(known)}")


def _is_counted(entry: object) -> bool:
    return isinstance(entry, Mapping) and type(entry.get("count")) is int and entry["count"] > 0


def holds(expectation: Mapping[str, Any], detections: Sequence[Detected]) -> bool:
    """Tell whether a picture with these detections shows what is expected.

    Every included entry needs as many matching objects as it counts, an excluded one must not
    reach its count, and a position holds between some pair of matching objects.

    Source: GenEval's evaluation rules.

    Raises:
        InputError: the detector does not know what is expected.
    """
    check_expectation(expectation)
    groups: list[list[Detected]] = []
    for entry in expectation["include"]:
        found = [d for d in detections if d.shape == entry["class"]]
        if "color" in entry:
            found = [d for d in found if d.color == entry["color"]]
        if len(found) < entry["count"]:
            return False
        if "position" in entry:
            relation, target = entry["position"]
            pairs = product(found, groups[target])
            if not any(relation in _relations(a.box, b.box) for a, b in pairs):
                return False
        groups.append(found)
    return not any(
        sum(d.shape == entry["class"] for d in detections) >= entry["count"]
        for entry in expectation.get("exclude", ())
    )


def _relations(a: Box, b: Box) -> set[str]:
    """Return where box a stands relative to box b: offsets less a tenth of the summed sizes."""
    offset = np.array([(a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1)])
    slack = 0.1 * np.array([a[i + 2] - a[i] + b[i + 2] - b[i] for i in (0, 1)])
    offset = np.sign(offset) * np.maximum(np.abs(offset) - slack, 0)
    length = float(np.hypot(*offset))
    if length < 1e-3:
        return set()
    dx, dy = offset / length
    found = {"left of": dx < -0.5, "right of": dx > 0.5, "above": dy < -0.5, "below": dy > 0.5}
    return {name for name, true in found.items() if true}
