"""Outcomes: how often an entry scores above, equal to and below another on equal prompt and seed.

A metric's scores are read once and laid side by side, so that every two of many entries are
compared in a fraction of a second where a join of millions of rows with themselves takes many.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from bakeoff.platform.queries.views import Views

ENDLESS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Outcomes:
    """What two entries have on each common prompt [P], prompts in the study's order.

    Counts are of pairs of scores, means are over them; `missing` counts scores of either side that
    have none beside them, of prompts that both were asked for.
    """

    entry: str
    opponent: str
    above: NDArray[np.int64]
    equal: NDArray[np.int64]
    below: NDArray[np.int64]
    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]
    is_binary: bool  # whether both scores of every pair are 0 or 1
    missing: int


class Common(NamedTuple):
    """Prompt means [P, E] of entries that met, and whether every score of them is 0 or 1."""

    means: NDArray[np.float64]
    is_binary: bool


class _Row(NamedTuple):
    """An entry's scores [U], 0 where there is none, with sums and counts by prompt [P]."""

    values: NDArray[np.float64]
    is_there: NDArray[np.bool_]
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    is_binary: bool  # whether all are 0 or 1
    asked: int  # the first so many prompts


class Scores:
    """All scores of a metric: a row for each entry, a column for each seed of a prompt."""

    def __init__(
        self,
        asked: Mapping[str, int],
        entry: NDArray[np.int32],
        prompt: NDArray[np.int32],
        seed: NDArray[np.int32],
        value: NDArray[np.float64],
    ) -> None:
        """Take the prompts asked of each entry in order, and scores [n] with places from 1."""
        self.entries = tuple(asked)
        seeds = int(seed.max(initial=0)) + 1
        cell = prompt.astype(np.int64) * seeds + seed
        is_used = np.bincount(cell) > 0
        self._prompts = np.flatnonzero(is_used) // seeds  # of each column [U]
        self._starts = np.flatnonzero(np.diff(self._prompts, prepend=-1))  # of each prompt [P]
        shape = len(asked), len(self._prompts)
        place = (entry - 1) * np.int64(shape[1]) + (np.cumsum(is_used) - 1)[cell]
        values, is_there = np.zeros(shape), np.zeros(shape, bool)  # [E, U], 0 where there is none
        values.ravel()[place], is_there.ravel()[place] = value, True
        self._rows = {
            name: self._row(own, there, asked[name])
            for name, own, there in zip(asked, values, is_there, strict=True)
        }

    def of(self, entry: str, opponent: str) -> Outcomes | None:
        """Return what two entries have in common; None if neither has a score."""
        ours, theirs = self._rows[entry], self._rows[opponent]
        scores = self._scores(ours, theirs)
        if not scores:
            return None
        ours, theirs = self._shared(ours, theirs)
        pairs, met = ours.counts, ours.counts > 0
        above = self._by_prompt(ours.values > theirs.values)
        below = self._by_prompt(ours.values < theirs.values)
        return Outcomes(
            entry,
            opponent,
            above[met],
            (pairs - above - below)[met],
            below[met],
            ours.sums[met] / pairs[met],
            theirs.sums[met] / pairs[met],
            ours.is_binary and theirs.is_binary,
            scores - 2 * int(pairs.sum()),
        )

    def common(self, entries: Sequence[str]) -> Common:
        """Return the means of entries over the prompts and seeds of which all have a score."""
        rows = self._shared(*(self._rows[entry] for entry in entries))
        met = rows[0].counts > 0
        means = np.stack([one.sums[met] / one.counts[met] for one in rows], axis=1)
        return Common(means, all(one.is_binary for one in rows))

    def _shared(self, *rows: _Row) -> list[_Row]:
        """Return rows without the scores that not all of them have."""
        there = np.logical_and.reduce([one.is_there for one in rows])
        return [
            one
            if np.array_equal(one.is_there, there)
            else self._row(one.values * there, there, one.asked)
            for one in rows
        ]

    def _row(self, values: NDArray, is_there: NDArray[np.bool_], asked: int) -> _Row:
        binary = bool(((values == 0) | (values == 1)).all())
        sums = np.add.reduceat(values, self._starts)
        return _Row(values, is_there, sums, self._by_prompt(is_there), binary, asked)

    def _scores(self, ours: _Row, theirs: _Row) -> int:
        """Return how many scores both have on prompts that both were asked for."""
        columns = int(np.searchsorted(self._prompts, min(ours.asked, theirs.asked), side="right"))
        return sum(int(np.count_nonzero(one.is_there[:columns])) for one in (ours, theirs))

    def _by_prompt(self, found: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of the columns [U] of each prompt [P] are true."""
        return np.add.reduceat(found.view(np.int8), self._starts, dtype=np.int32).astype(np.int64)


class Prompts(TypedDict, total=False):
    """Which prompts: all, those of a task, or those named."""

    task: str | None
    prompt_ids: Sequence[str] | None


class Chosen(Prompts, total=False):
    """Which pairs of entries, beside: one against another, all against one, or each two once.

    Where no opponent is named the first of two in the study's order is the entry.
    """

    entry: str | None
    opponent: str | None


def scores_of(views: Views, study: str, metric: str, **prompts: Unpack[Prompts]) -> Scores:
    """Return a study's scores on a metric; those of all prompts are kept with the views."""
    if any(one is not None for one in prompts.values()):
        return _read_scores(views, study, metric, **prompts)
    return views.kept(_read_scores, study, metric)


def _read_scores(views: Views, study: str, metric: str, **prompts: Unpack[Prompts]) -> Scores:
    asked = {
        row["entry"]: row["asked"] or ENDLESS for row in views.query("entry_places", study=study)
    }
    prompt_ids = prompts.get("prompt_ids")
    found = views.columns(
        "metric_values",
        study=study,
        metric=metric,
        task=prompts.get("task"),
        prompt_ids=None if prompt_ids is None else list(prompt_ids),
    )
    return Scores(asked, **found)


def outcomes(views: Views, study: str, metric: str, **chosen: Unpack[Chosen]) -> list[Outcomes]:
    """Return what the chosen pairs of entries have on the chosen prompts, in order of names."""
    prompts = Prompts(task=chosen.get("task"), prompt_ids=chosen.get("prompt_ids"))
    scores = scores_of(views, study, metric, **prompts)
    couples = _couples(scores.entries, chosen.get("entry"), chosen.get("opponent"))
    met = (scores.of(*both) for both in couples)
    return sorted((one for one in met if one), key=lambda one: (one.entry, one.opponent))


def _couples(
    entries: Sequence[str], entry: str | None, opponent: str | None
) -> Iterator[tuple[str, str]]:
    if opponent is None:
        yield from (both for both in combinations(entries, 2) if entry in (None, both[0]))
    elif opponent in entries:
        yield from ((one, opponent) for one in entries if one != opponent and entry in (None, one))
