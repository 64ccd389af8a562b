"""Runs until decided: each entry meets the study's baseline until their comparison is decided.

Prompts come in an order that is random and fixed by the study, in rounds that grow. After a round
the store is asked who is decided, and the next round goes on with the others and the baseline. All
of it follows from the study and from what its samples score, so that a run that was killed goes on
in the same order and ends with the same samples.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluators.stopping import Course, course
from bakeoff.platform.benchmarks import Prompt
from bakeoff.platform.metrics import build_metric
from bakeoff.platform.study import Study
from bakeoff.platform.views import Views
from bakeoff.samplers.errors import InputError, shown

FIRST_ROUND = 16  # prompts; with fewer even one that wins all of them is hardly decided
GROWTH = 1.5  # from round to round: at most so many times the prompts that it took are made
Reach = Mapping[str, int]  # prompts asked for, from the first on, by entry


@dataclass(frozen=True)
class Rule:
    """When to stop: `level` is the share of studies in which any comparison may be decided wrongly.

    With a margin, what surely lies within ½ ± `equivalent` is decided, too.

    Raises:
        InputError: either is out of its range.
    """

    level: float
    equivalent: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(
                f"until_decided {shown(self.level)} must lie between 0 and 1: 0.05 errs in 5 % of "
                "studies"
            )
        if self.equivalent is not None and not 0 < self.equivalent < 0.5:
            raise InputError(
                f"equivalent {shown(self.equivalent)} must lie between 0 and 0.5: 0.01 takes win "
                "rates of 49 to 51 % as equal"
            )


@dataclass(frozen=True)
class Contest:
    """Whom the entries of a study meet, on which metric, and when their comparisons are decided."""

    study: str
    metric: str
    baseline: str
    rule: Rule
    comparisons: int

    @property
    def confidence(self) -> float:
        """What each comparison holds, so that all together hold the level: Bonferroni's."""
        return 1 - self.rule.level / max(1, self.comparisons)

    def courses(self, views: Views, reach: Reach) -> dict[str, Course]:
        """Return how each entry's comparison went on as many prompts as it was asked for."""
        rows = views.query(
            "win_values", study=self.study, metric=self.metric, opponent=self.baseline
        )
        higher_is_better = build_metric(self.metric).info.higher_is_better
        won: dict[str, NDArray[np.float64]] = {}
        for row in rows:
            places, above = np.array(row["places"]), np.array(row["above"])
            asked = places < reach.get(row["entry"], 0)
            won[row["entry"]] = above[asked] if higher_is_better else 1 - above[asked]
        return {
            entry: course(
                won.get(entry, []), equivalent=self.rule.equivalent, confidence=self.confidence
            )
            for entry in reach
        }


@dataclass(frozen=True)
class Stopping:
    """How a study that was run until decided came out: see `Contest` for what its parts mean."""

    level: float
    equivalent: float | None
    confidence: float
    metric: str
    prompts: int  # of the study
    reach: Reach
    courses: Mapping[str, Course]  # by entry, without the baseline


def check_stopping(study: Study) -> None:
    """Check that there is something to decide in a study.

    Raises:
        InputError: it has one entry, or no metric of single pictures.
    """
    if len(study.entries) < 2:
        raise InputError(f"study {study.name!r} has one entry: there is nothing to decide")
    deciding_metric(study.metrics)


def deciding_metric(names: Sequence[str]) -> str:
    """Return the metric that decides a study: its first of single pictures.

    Raises:
        InputError: there is none.
    """
    for name in names:
        if build_metric(name).info.kind == "image":
            return name
    raise InputError(
        f"metrics {shown(list(names))} name none of single pictures, by which a win is decided"
    )


def in_order(study: str, prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return prompts in the order of a study's runs until decided: random, and always the same."""

    def draw(prompt: Prompt) -> bytes:
        return sha256(json.dumps([study, prompt.prompt_id, prompt.prompt]).encode()).digest()

    return tuple(sorted(prompts, key=draw))


def round_sizes(prompts: int) -> Iterator[int]:
    """Yield how many prompts there are by the end of each round, the last time all."""
    size = FIRST_ROUND
    while size < prompts:
        yield size
        size = ceil(size * GROWTH)
    yield prompts


def rounds(study: Study, rule: Rule, look: Callable[[], Views]) -> Iterator[tuple[Study, Reach]]:
    """Yield what each round wants, as a smaller study, and how far each entry is asked for by then.

    When the next is asked for, the store holds that, and its newest run of the study lists all
    entries, and prompts `in_order`: `look` opens it.
    """
    (baseline,) = (entry.name for entry in study.entries if entry.baseline)
    undecided = {entry.name for entry in study.entries} - {baseline}
    metric, ordered = deciding_metric(study.metrics), in_order(study.name, study.prompts)
    contest = Contest(study.name, metric, baseline, rule, len(undecided))
    reach: dict[str, int] = {}
    for size in round_sizes(len(ordered)):
        wanted = tuple(one for one in study.entries if one.baseline or one.name in undecided)
        reach |= dict.fromkeys((entry.name for entry in wanted), size)
        yield replace(study, prompts=ordered[:size], entries=wanted), dict(reach)
        courses = contest.courses(look(), dict.fromkeys(undecided, size))
        undecided = {name for name, one in courses.items() if one.verdict == "undecided"}
        if not undecided:
            return


def stopping(views: Views, study: str, metric: str | None) -> Stopping | None:
    """Return how a study came out that was run until decided, by a metric; None of any other."""
    rows = [row for row in views.query("stopping", study=study) if row["until_decided"]]
    if not rows or metric is None:
        return None
    (row,) = rows
    reach = dict(zip(row["entries"], row["asked"], strict=True))
    others = {entry: count for entry, count in reach.items() if entry != row["baseline"]}
    rule = Rule(row["until_decided"], row["equivalent"])
    contest = Contest(study, metric, row["baseline"], rule, len(others))
    return Stopping(
        rule.level,
        rule.equivalent,
        contest.confidence,
        metric,
        row["prompts"],
        reach,
        contest.courses(views, others),
    )
