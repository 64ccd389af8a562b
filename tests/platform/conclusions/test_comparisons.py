"""Comparisons of hand-made stores: figures, families and what the opponent sees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakeoff.evaluators.comparison import (
    decisions,
    difference,
    pairs,
    sign_test,
    wilcoxon_test,
)
from bakeoff.evaluators.composition import Composition
from bakeoff.evaluators.statistics import adjusted_test, win_rate, win_values
from bakeoff.platform.conclusions.comparisons import (
    Comparison,
    Judgement,
    Meeting,
    compared,
    comparisons,
    judgements,
    meetings,
)
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.studies import metrics
from bakeoff.platform.studies.metrics import MetricEntry
from bakeoff.platform.studies.rule import Rule
from bakeoff.samplers.tiny.detector import detect
from bakeoff.samplers.tiny.grammar import holds
from tests.store_writer import MISSING, StoreWriter

A, B, C, CONTROL, EMPTY = "m/a", "m/b", "m/c", "m/control", "m/empty"
PROMPTS = [f"{task}-{number:02}" for task in "xy" for number in range(20)]
NUMBERS = np.random.default_rng(8)
VALUES = {
    A: NUMBERS.normal(0, 1, (40, 2)),
    B: NUMBERS.normal(1, 1, (40, 2)),
    C: NUMBERS.normal(0.3, 1, (40, 2)),
    CONTROL: NUMBERS.normal(0, 1, (40, 2)),
}


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    writer = StoreWriter(tmp_path_factory.mktemp("comparisons") / "store")
    scores = {e: dict(zip(PROMPTS, v.tolist(), strict=True)) for e, v in VALUES.items()}
    writer.run({"clip_score": scores | {EMPTY: {}}}, copies={CONTROL: A})
    return open_views(writer.path)


def found(views: Views, **options: object) -> dict[tuple[str, str], Comparison]:
    made = comparisons(views, "study", "clip_score", **options)
    return {(one.entry, one.opponent): one for one in made}


def every_pair(views: Views) -> dict[tuple[str, str], Judgement]:
    made = judgements(views, "study", "clip_score")
    return {(one.entry, one.opponent): one for one in made}


def test_every_figure_is_that_of_the_statistics(views: Views) -> None:
    one = found(views, opponent=A)[B, A]
    prompts = np.repeat(PROMPTS, 2).tolist()
    ours, theirs = VALUES[B].ravel(), VALUES[A].ravel()
    by_prompt = pairs(prompts, ours, theirs)
    assert one.wins == win_rate(prompts, ours, theirs)
    expected = difference(by_prompt)
    assert one.difference and expected and one.difference.value == pytest.approx(expected.value)
    assert one.difference.interval == pytest.approx(expected.interval)
    assert one.correlation == pytest.approx(
        np.corrcoef(VALUES[B].mean(axis=1), VALUES[A].mean(axis=1))[0, 1]
    )
    assert one.sign_p == pytest.approx(sign_test(by_prompt.differences))
    assert one.wilcoxon_p == pytest.approx(wilcoxon_test(by_prompt.differences))


def test_verdicts_are_corrected_for_all_comparisons_that_stand_side_by_side(views: Views) -> None:
    beside = found(views, opponent=A)
    p_values = [
        adjusted_test(win_values(VALUES[e], VALUES[A]).mean(axis=1), (0, 1), 0.5)
        for e in (B, C, CONTROL)
    ]
    verdicts = {entry: one.decision for (entry, _), one in beside.items()}
    assert verdicts[B] and verdicts[B].verdict == "better"
    assert verdicts[B].p_value == pytest.approx(3 * p_values[0])
    assert verdicts[CONTROL] and verdicts[CONTROL].verdict == "undecided"
    every = every_pair(views)[B, A].decision
    assert every and every.p_value > verdicts[B].p_value
    assert verdicts[EMPTY] is None and beside[EMPTY, A].wins.estimate is None


def test_each_two_entries_mirror_each_other_and_count_once(views: Views) -> None:
    every = every_pair(views)
    assert len(every) == 20
    for (entry, opponent), one in every.items():
        other = every[opponent, entry]
        assert (one.wins.wins, one.wins.losses) == (other.wins.losses, other.wins.wins)
        if one.decision and other.decision:
            sides = {one.decision.verdict, other.decision.verdict}
            assert sides in ({"better", "worse"}, {"undecided"})
            assert one.decision.p_value == other.decision.p_value
    met = [one for one in meetings(views, "study", "clip_score") if len(one.wins)]
    alone = decisions([one.win_values for one in met])
    assert [every[one.entry, one.opponent].decision for one in met] == alone
    turned, direct = every[B, A], found(views, opponent=A)[B, A]
    assert turned.wins.estimate.interval == pytest.approx(direct.wins.estimate.interval)
    assert turned.wins.estimate.value == pytest.approx(direct.wins.estimate.value)


def test_a_task_and_named_prompts_are_compared_by_themselves(views: Views) -> None:
    task = found(views, opponent=A, task="y")[B, A]
    assert task.wins == win_rate(
        np.repeat(PROMPTS[20:], 2).tolist(), VALUES[B][20:].ravel(), VALUES[A][20:].ravel()
    )
    assert found(views, opponent=A, prompt_ids=PROMPTS[20:])[B, A] == task
    assert found(views, opponent=A, task="z") == {}


def test_a_margin_makes_what_is_alike_equivalent(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    same = {f"x-{number}": [number % 2] for number in range(200)}
    other = same | {"x-0": [1], "x-1": [0]}
    writer.run({"composition": {A: same, B: other, C: {prompt: [0] for prompt in same}}})
    views = open_views(writer.path)

    def verdicts(equivalent: float | None) -> dict[str, str | None]:
        made = comparisons(views, "study", "composition", opponent=A, equivalent=equivalent)
        return {one.entry: one.decision and one.decision.verdict for one in made}

    assert verdicts(None) == {B: "undecided", C: "worse"}
    assert verdicts(0.05) == {B: "equivalent", C: "worse"}
    assert verdicts(0.005) == {B: "undecided", C: "worse"}


@pytest.mark.parametrize("gap", [None, MISSING, float("nan")])
def test_a_prompt_with_one_side_only_is_left_out_on_both(tmp_path: Path, gap: object) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {A: {"x-1": [1], "x-2": [1]}, B: {"x-1": [0], "x-2": [gap]}}})
    (one,) = comparisons(open_views(writer.path), "study", "composition", opponent=A)
    assert (one.wins.losses, one.wins.missing) == (1, 1)
    assert one.difference and (one.difference.value, one.difference.prompts) == (-1, 1)
    assert one.decision and one.decision.verdict == "undecided"
    assert one.correlation is None


def lower_is_better(device: str) -> Composition:
    metric = Composition(detect, holds)
    metric.info = replace(metric.info, name="distance", higher_is_better=False)
    return metric


def test_the_difference_keeps_its_sign_where_lower_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "METRICS", {"distance": MetricEntry(lower_is_better)})
    writer = StoreWriter(tmp_path / "store")
    values = {f"x-{number}": [number / 7] for number in range(30)}
    writer.run({"distance": {A: values, B: {p: [v - 0.5] for p, [v] in values.items()}}})
    (one,) = comparisons(open_views(writer.path), "study", "distance", opponent=A)
    assert one.decision and one.decision.verdict == "better" and one.wins.wins == 30
    assert one.difference and one.difference.value == pytest.approx(-0.5)


@pytest.mark.parametrize(("metric", "sign"), [("composition", 1), ("distance", -1)])
def test_limits_of_a_yes_or_no_difference_are_those_of_the_win_rate_at_any_time(
    metric: str, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "composition": metrics.METRICS["composition"],
        "distance": MetricEntry(lower_is_better),
    }
    monkeypatch.setattr(metrics, "METRICS", known)
    better = np.arange(60) % 4 != 0  # the entry wins three of four prompts
    met = Meeting(
        entry=B,
        opponent=A,
        metric=metric,
        wins=better.astype(int),
        ties=np.zeros(60, int),
        losses=(~better).astype(int),
        ours=(better if sign > 0 else ~better).astype(float),
        theirs=(~better if sign > 0 else better).astype(float),
        is_binary=True,
        missing=0,
        rule=Rule(0.05),
    )
    (one,) = compared([met])
    assert one.wins.estimate and one.wins.estimate.interval and one.difference
    low, high = sorted(sign * (2 * limit - 1) for limit in one.wins.estimate.interval)
    assert one.difference.interval == pytest.approx((low, high))
    assert low < one.difference.value == sign * 0.5 < high
    assert one.sign_p is None and one.wilcoxon_p is None
    (continuous,) = compared([replace(met, is_binary=False)])
    assert continuous.difference and continuous.difference.interval is None
