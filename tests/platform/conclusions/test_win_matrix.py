"""Win rates against every other entry, by task, and by metric."""

from pathlib import Path

import pytest

from bakeoff.platform.conclusions.win_matrix import Cell, by_metric, by_opponent, by_task
from bakeoff.platform.queries.views import open_views
from tests.store_writer import StoreWriter

A, B, C = "m/a", "m/b", "m/c"
X = {f"x-{number}": [1] for number in range(12)}
LOST = {prompt: [0] for prompt in X}
SCORES = {
    "composition": {A: X | {"y-1": [0]}, B: LOST | {"y-1": [0]}, C: X | {"y-1": [1]}},
    "clip_score": {A: {"x-1": [0.5]}, B: {"x-1": [0.75]}},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = StoreWriter(tmp_path_factory.mktemp("matrix") / "store")
    writer.run(SCORES)
    return writer.path


def rates(found: list[Cell]) -> dict[tuple[str, str], float | None]:
    return {
        (cell.judgement.entry, cell.column): wins.value if wins else None
        for cell in found
        for wins in [cell.judgement.wins.estimate]
    }


def test_every_pair_stands_in_both_of_its_cells(store: Path) -> None:
    found = rates(by_opponent(open_views(store), "study", "composition"))
    assert found == pytest.approx(
        {
            (A, B): 12.5 / 13,
            (A, C): 6 / 13,
            (B, A): 0.5 / 13,
            (B, C): 0.0,
            (C, A): 7 / 13,
            (C, B): 1.0,
        }
    )


def test_a_task_has_a_column_of_its_own(store: Path) -> None:
    found = rates(by_task(open_views(store), "study", "composition", A, ["x", "y"]))
    assert found == {(B, "x"): 0.0, (C, "x"): 0.5, (B, "y"): 0.5, (C, "y"): 1.0}


def test_a_metric_has_a_column_of_its_own(store: Path) -> None:
    metrics = ["composition", "clip_score"]
    found = rates(by_metric(open_views(store), "study", metrics, A))
    assert found[B, "clip_score"] == 1.0
    assert found[B, "composition"] == pytest.approx(0.5 / 13)
    assert found.get((C, "clip_score")) is None


def test_verdicts_are_corrected_for_all_cells_together(store: Path) -> None:
    views = open_views(store)
    (alone, *_), both = (
        by_task(views, "study", "composition", A, tasks) for tasks in (["x"], ["x", "y"])
    )
    first = both[0]
    assert alone.judgement.decision and first.judgement.decision
    assert alone.judgement.decision.p_value <= first.judgement.decision.p_value
