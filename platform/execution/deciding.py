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

from bakeoff.evaluators.stopping import course
from bakeoff.platform.conclusions.comparisons import meetings
from bakeoff.platform.queries.views import Views
from bakeoff.platform.studies.benchmarks import Prompt
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import Rule
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.errors import InputError, shown

FIRST_ROUND = 16  # prompts; with fewer even one that wins all of them is hardly decided
GROWTH = 1.5  # from round to round: at most so many times the prompts that it took are made
Reach = Mapping[str, int]  # prompts asked for, from the first on, by entry


@dataclass(frozen=True)
class Round:
    """What is wanted by the end of a round, as a smaller study, and how far each entry then is."""

    study: Study
    reach: Reach


def check_contest(study: Study) -> None:
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


def rounds(study: Study, rule: Rule, look: Callable[[], Views]) -> Iterator[Round]:
    """Yield the rounds of a study, until all are decided or all prompts are used.

    When the next is asked for, the store holds what the last one wanted, and its newest run of the
    study asked all entries for as much, prompts `in_order`: `look` opens it.
    """
    (baseline,) = (entry.name for entry in study.entries if entry.baseline)
    undecided = {entry.name for entry in study.entries} - {baseline}
    metric, ordered = deciding_metric(study.metrics), in_order(study.name, study.prompts)
    confidence = 1 - rule.level / len(undecided)  # as `courses` has it for all of them
    reach: dict[str, int] = {}
    for size in round_sizes(len(ordered)):
        wanted = tuple(one for one in study.entries if one.baseline or one.name in undecided)
        reach |= dict.fromkeys((entry.name for entry in wanted), size)
        yield Round(replace(study, prompts=ordered[:size], entries=wanted), dict(reach))
        asked = [prompt.prompt_id for prompt in ordered[:size]]
        for met in meetings(look(), study.name, metric, opponent=baseline, prompt_ids=asked):
            made = course(met.win_values, equivalent=rule.equivalent, confidence=confidence)
            if made.verdict != "undecided":
                undecided.discard(met.entry)
        if not undecided:
            return
