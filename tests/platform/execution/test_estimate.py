"""What a run would cost follows from what its store has measured, and is else not known."""

from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.platform.execution.estimate import estimate
from bakeoff.platform.execution.plan import Item, Shard
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import MetricKey
from bakeoff.samplers.recipe import Recipe
from tests.small_store import SmallStore

PLAIN, GUIDED = Recipe(steps=4), Recipe(steps=4, guidance_scale=2.0)


def shard(recipe: Recipe, images: int = 10, **changes: object) -> Shard:
    items = tuple(Item(f"s{n}", f"p{n}", f"prompt {n}", "task", 0, None) for n in range(images))
    work = Shard(
        model="m", location="m", weights_hash="w", recipe=str(recipe), recipe_id=recipe.recipe_id,
        benchmark="prompts", items=items, metrics=(MetricKey("a", "1"), MetricKey("b", "1")),
    )  # fmt: skip
    return replace(work, **changes)


def measure(small: SmallStore, recipe: Recipe, number: int, **told: object) -> None:
    """Store the profile of ten images: 8 s of network, 2 s of decoding, 1 s of scoring."""
    row = {
        "model": "m", "recipe_id": recipe.recipe_id, "shard_id": str(number), "images": 10,
        "row_evaluations": 0, "warm": True, "traced": False, "dtype": "float32", "compiled": False,
    }  # fmt: skip
    stages = {"network": 8.0, "decode": 2.0, "score": 1.0}
    rows = [row | {"stage": stage, "seconds": seconds} for stage, seconds in stages.items()]
    rows[0]["row_evaluations"] = 40
    small.store.write("profiles", str(number), [one | told for one in rows])


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    small = SmallStore(tmp_path / "store")
    measure(small, PLAIN, 0)
    small.shard("one", [0, 1, 2])
    return small


def test_a_recipe_that_was_run_costs_what_it_did(small: SmallStore) -> None:
    cost = estimate([shard(PLAIN), shard(PLAIN, images=5)], small.store)
    assert (cost.images, cost.scored, cost.row_evaluations) == (15, 15, 60)
    assert cost.worker_seconds == pytest.approx(15 * 1.1)
    part = small.store.parts("samples")[0]
    assert cost.size_bytes == round(part.stat().st_size / 3 * 15)
    assert cost.unmeasured == ()


def test_a_new_recipe_costs_its_models_seconds_a_row_evaluation(small: SmallStore) -> None:
    cost = estimate([shard(GUIDED)], small.store)
    assert cost.row_evaluations == 80  # guidance takes two rows
    assert cost.worker_seconds == pytest.approx(10 * (8 * 10 / 40 + 0.1))


def test_first_and_traced_batches_are_left_out_where_there_are_others(small: SmallStore) -> None:
    measure(small, PLAIN, 1, warm=False, seconds=100.0)
    measure(small, PLAIN, 2, traced=True, seconds=100.0)
    assert estimate([shard(PLAIN)], small.store).worker_seconds == pytest.approx(11.0)


def test_where_all_batches_are_traced_they_are_what_there_is(tmp_path: Path) -> None:
    small = SmallStore(tmp_path / "store")
    measure(small, PLAIN, 0, traced=True)
    rows = small.store.read("profiles", TABLES["profiles"].names).to_pylist()
    untraced = [row | {"traced": None} for row in rows if row["stage"] == "score"]
    small.store.write("profiles", "score", untraced)  # scoring has no traces
    assert estimate([shard(PLAIN)], small.store).worker_seconds == pytest.approx(11.0)


def test_what_was_never_measured_is_not_guessed(small: SmallStore, tmp_path: Path) -> None:
    cost = estimate([shard(PLAIN), shard(PLAIN, model="other")], small.store)
    assert (cost.worker_seconds, cost.unmeasured) == (None, ("other",))
    assert cost.row_evaluations == 80  # which follow from the recipe
    nothing = estimate([shard(Recipe())], Store(tmp_path / "absent"))
    assert (nothing.row_evaluations, nothing.worker_seconds, nothing.size_bytes) == (None,) * 3
    assert nothing.images == 10 and not (tmp_path / "absent").exists()


@pytest.mark.parametrize("way", [{"dtype": "bfloat16"}, {"compiled": True}])
def test_seconds_of_a_model_that_ran_otherwise_say_nothing(
    small: SmallStore, way: dict[str, object]
) -> None:
    cost = estimate([shard(PLAIN, **way)], small.store)
    assert (cost.row_evaluations, cost.worker_seconds, cost.unmeasured) == (40, None, ("m",))


def test_scoring_what_is_stored_makes_no_picture(small: SmallStore) -> None:
    cost = estimate([shard(PLAIN, part="part-one.parquet")], small.store)
    assert (cost.images, cost.scored, cost.row_evaluations, cost.size_bytes) == (0, 10, 0, 0)
    assert cost.worker_seconds == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ({}, 5),  # samples, two profiles, two metrics
        ({"traces": True}, 6),
        ({"part": "part-one.parquet"}, 3),
        ({"part": "part-one.parquet", "traces": True, "metrics": ()}, 3),
    ],
)
def test_every_file_of_a_shard_is_counted(
    small: SmallStore, changes: dict[str, object], files: int
) -> None:
    assert estimate([shard(PLAIN, **changes)], small.store).files == files
