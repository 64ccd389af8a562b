"""What people's votes say: strengths, how metrics agree with them, and what both say together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.evaluators.calibration import Agreement, Calibrated, agreement, calibrated_win_rate
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.ranking import Game, Strength, bradley_terry
from bakeoff.evaluators.statistics import WinRate, win_rate
from bakeoff.platform.queries.views import Views

ENOUGH = 20  # prompts with a vote, below which a metric is not weighed by them


@dataclass(frozen=True)
class Vote:
    """What one person said of two entries' pictures: 1 for the entry, 0 the opponent, 0.5 none."""

    entry: str
    opponent: str
    prompt_id: str
    seed_place: int
    result: float


@dataclass(frozen=True)
class Verdict:
    """How often people prefer one entry to another; `calibrated` with what a metric says of all.

    None with fewer voted prompts than are enough, or without others that the metric compares.
    """

    entry: str
    opponent: str
    wins: WinRate
    calibrated: Calibrated | None


def cast_votes(views: Views, study: str) -> list[Vote]:
    """Return the votes on a study's entries, oldest first."""
    return [Vote(**row) for row in views.query("cast_votes", study=study)]


def pair_counts(votes: Sequence[Vote]) -> Counter[frozenset[str]]:
    """Return the number of votes on each two entries."""
    return Counter(frozenset((vote.entry, vote.opponent)) for vote in votes)


def strengths(votes: Sequence[Vote]) -> list[Strength]:
    """Return how strong entries are by who beat whom, strongest first."""
    return bradley_terry(
        [Game(vote.entry, vote.opponent, vote.result, vote.prompt_id) for vote in votes]
    )


def agreements(views: Views, study: str, infos: Sequence[MetricInfo]) -> Mapping[str, Agreement]:
    """Return how each metric agrees with the votes; one that scored no voted pair is absent."""
    found = {}
    rows = views.query("opinions", study=study)
    for info in infos:
        own = [row for row in rows if row["metric"] == info.name]
        opinions = _opinions([row["above"] for row in own], info)
        said = agreement(
            [row["prompt_id"] for row in own], [row["result"] for row in own], opinions
        )
        if said:
            found[info.name] = said
    return found


def verdicts(views: Views, study: str, info: MetricInfo, votes: Sequence[Vote]) -> list[Verdict]:
    """Return what people say of every two entries that were voted on, most votes first."""
    return [
        _verdict(views, study, info, votes, pair) for pair, _ in pair_counts(votes).most_common()
    ]


def _verdict(
    views: Views, study: str, info: MetricInfo, votes: Sequence[Vote], pair: frozenset[str]
) -> Verdict:
    own = [vote for vote in votes if {vote.entry, vote.opponent} == pair]
    entry, opponent = own[0].entry, own[0].opponent
    results = np.array([vote.result if vote.entry == entry else 1 - vote.result for vote in own])
    wins = win_rate([vote.prompt_id for vote in own], results, 1 - results)
    calibrated = None
    if wins.estimate and wins.estimate.prompts >= ENOUGH:
        calibrated = _calibrated(views, study, info, entry, opponent)
    return Verdict(entry, opponent, wins, calibrated)


def _calibrated(
    views: Views, study: str, info: MetricInfo, entry: str, opponent: str
) -> Calibrated | None:
    rows = views.query(
        "pair_opinions", study=study, metric=info.name, entry=entry, opponent=opponent
    )
    voted = [row for row in rows if row["vote"] is not None]
    others = [row["above"] for row in rows if row["vote"] is None]
    if len(voted) < ENOUGH:
        return None
    return calibrated_win_rate(
        [row["vote"] for row in voted],
        _opinions([row["above"] for row in voted], info),
        _opinions(others, info),
    )


def _opinions(above: Sequence[float], info: MetricInfo) -> Sequence[float]:
    """Return win values from how often scores lie above."""
    return above if info.higher_is_better else [1 - share for share in above]
