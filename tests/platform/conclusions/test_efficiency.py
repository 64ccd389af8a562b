"""Costs, fronts and speed-ups of small stores that one reads off."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bakeoff.platform.conclusions.efficiency import (
    AXES,
    STAGES,
    costs,
    fronts,
    memory_by_precision,
    model_baselines,
    speed_ups,
    stage_times,
)
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.store.store import Store
from tests.store_writer import MISSING, STAGE_SHARES, StoreWriter

A, B, C = "m/a", "m/b", "n/c"
PROMPTS = [f"x-{number}" for number in range(8)]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    """Three entries: `m/b` is twice as fast as `m/a` and loses, `n/c` was measured when cold."""
    writer = StoreWriter(tmp_path_factory.mktemp("costs") / "store")
    values = {A: [1] * 8, B: [1, 1, 1, 1, 0, 0, 0, 0], C: [1, 1, 1, 1, 1, 1, 0, 0]}
    scores = {
        entry: {prompt: [value] for prompt, value in zip(PROMPTS, own, strict=True)}
        for entry, own in values.items()
    }
    writer.run(
        {"composition": scores},
        batches={
            A: [(9.0, False), *((2.0 + place / 10, True) for place in range(7))],
            B: [(1.0 + place / 10, True) for place in range(8)],
            C: [(4.0, False)],
        },
        costs={A: 32, B: 16, C: 64},
    )
    return open_views(writer.path)


def change_profiles(path: Path, **columns: Any) -> None:
    for part in Store(path).parts("profiles"):
        rows = pq.read_table(part, partitioning=None).to_pylist()
        changed = [row | columns for row in rows]
        Store(path).write("profiles", part.stem.removeprefix("part-"), changed)


def test_stages_come_in_the_order_a_picture_passes_them(views: Views) -> None:
    times = stage_times(views, "study")
    assert [one.stage for one in times if one.entry == A] == [
        stage for stage in STAGES if stage in STAGE_SHARES
    ]
    network = {one.entry: one for one in times if one.stage == "network"}
    found = {entry: (one.batches, one.p50, one.is_typical) for entry, one in network.items()}
    assert found == {
        A: (7, pytest.approx(2.3 / 2), True),
        B: (8, pytest.approx(1.35 / 2), True),
        C: (1, pytest.approx(4 / 2), False),
    }


def test_an_entrys_cost_is_that_of_its_typical_batches(views: Views) -> None:
    found = costs(views, "study")
    assert found[A].seconds == pytest.approx([2.0 + place / 10 for place in range(7)])
    assert (found[A].p50, found[A].p90) == (pytest.approx(2.3), pytest.approx(2.54))
    assert found[A].peak_memory_bytes == 8_000_000
    assert (found[C].p50, found[C].is_typical) == (pytest.approx(4), False)
    assert found[A].joules is None


def test_the_front_is_drawn_among_what_compares(views: Views) -> None:
    board, found = leaderboard(views), costs(views, "study")
    (info,) = board.metrics
    (together,) = fronts(views, board, found, info, AXES["latency"]).values()
    assert [(spot.entry, spot.is_on_front) for spot in together] == [
        (B, True),
        (A, True),
        (C, False),
    ]
    by_model = fronts(views, board, found, info, AXES["compute"])
    assert {name: [spot.entry for spot in spots] for name, spots in by_model.items()} == {
        "m": [B, A],
        "n": [C],
    }
    assert fronts(views, board, found, info, AXES["energy"]) == {}


def test_energy_is_told_where_it_was_counted(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {A: {"x-1": [1]}}}, batches={A: [(1.0, True)]})
    change_profiles(writer.path, energy_joules=50.0, peak_allocated_bytes=5)
    (cost,) = costs(open_views(writer.path), "study").values()
    assert cost.joules == pytest.approx(4 * 50 / 10)  # four stages of the sampler, ten images
    assert cost.peak_allocated_bytes == 5


def test_every_model_has_a_baseline_of_its_own(views: Views) -> None:
    assert model_baselines(leaderboard(views)) == {B: A}


def test_speed_stands_beside_a_verdict_on_quality(views: Views) -> None:
    board, found = leaderboard(views), costs(views, "study")
    (one,) = speed_ups(views, board, found, "composition", None)
    assert (one.entry, one.baseline, one.batches, one.baseline_batches) == (B, A, 8, 7)
    assert one.ratio and one.ratio.value == pytest.approx(2.3 / 1.35)
    assert one.ratio.interval and one.ratio.interval.low < 1.7 < one.ratio.interval.high
    assert one.comparison and one.comparison.wins.estimate
    assert one.comparison.wins.estimate.value == 0.25
    (unjudged,) = speed_ups(views, board, found, None, None)
    assert unjudged.comparison is None


def test_the_front_is_that_of_what_all_have(tmp_path: Path) -> None:
    easy, hard = {f"x-{n}": [1] for n in range(4)}, {f"y-{n}": [0] for n in range(4)}
    gaps = {prompt: [MISSING] for prompt in hard}
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {A: easy | hard, B: easy | gaps}}, costs={A: 32, B: 32})
    views = open_views(writer.path)
    board = leaderboard(views)
    (together,) = fronts(
        views, board, costs(views, "study"), board.metrics[0], AXES["compute"]
    ).values()
    assert {(spot.entry, spot.quality.value, spot.is_on_front) for spot in together} == {
        (A, 0.5, True),
        (B, 1.0, True),
    }


def test_times_of_first_batches_have_no_ratio(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    batches = {A: [(3.0, False), (1.0, True)], B: [(3.0, False)]}
    writer.run({"composition": {A: {"x-1": [1]}, B: {"x-1": [1]}}}, batches=batches)
    views = open_views(writer.path)
    (one,) = speed_ups(views, leaderboard(views), costs(views, "study"), None, None)
    assert (one.entry, one.ratio) == (B, None)


def test_times_of_other_devices_have_no_ratio(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {A: {"x-1": [1]}}}, batches={A: [(2.0, True)]})
    change_profiles(writer.path, device="other")
    writer.run(
        {"composition": {A: {"x-1": [1]}, B: {"x-1": [1]}}},
        batches={B: [(1.0, True)]},
        minute=5,
        part="-x",
    )
    views = open_views(writer.path)
    (one,) = speed_ups(views, leaderboard(views), costs(views, "study"), None, None)
    assert (one.batches, one.baseline_batches, one.ratio) == (1, 1, None)


def test_memory_is_the_highest_of_a_model_in_a_precision(views: Views) -> None:
    found = memory_by_precision(leaderboard(views), costs(views, "study"))
    assert [(one.model, one.precision, one.entries, one.peak_bytes) for one in found] == [
        ("m", "unknown", 2, 8_000_000),
        ("n", "unknown", 1, 1_000_000),
    ]
