"""Effects of design choices from stores whose scores are planted."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from bakeoff.platform.conclusions.design_effects import (
    DesignEffects,
    design_effects,
    pictures_to_buy,
)
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.queries.views import Views, open_views
from tests.store_writer import MISSING, StoreWriter

PROMPTS = [f"x-{number}" for number in range(20)]
DIFFICULTY = np.random.default_rng(1).normal(0, 3, 20)
PLAIN = "steps=16 guidance_scale=2"
TEXTS = {"noise": "noise=abs_cos(1)", "linear": "schedule=linear", "top": "top_k=50"}
GAINS = {"noise": 1.0, "linear": -2.0, "top": 0.5}
COSTS = {"noise": 1, "linear": 2, "top": 1}


def entries(*sets: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {f"m/{'-'.join(one) or 'vanilla'}": one for one in sets}


def written(folder: Path, sets: dict[str, tuple[str, ...]], **options: object) -> Views:
    """Write entries whose gain is the sum of their choices', and 4 more for noise with linear."""
    scores, recipes, costs = {}, {}, {}
    for entry, chosen in sets.items():
        gain = sum(GAINS[one] for one in chosen) + 4 * ({"noise", "linear"} <= set(chosen))
        scores[entry] = {p: [float(d + gain)] for p, d in zip(PROMPTS, DIFFICULTY, strict=True)}
        recipes[entry] = " ".join([PLAIN, *(TEXTS[one] for one in chosen)])
        costs[entry] = 32 * int(np.prod([COSTS[one] for one in chosen]))
    writer = StoreWriter(folder / "store")
    writer.run({"clip_score": scores}, recipes=recipes, costs=costs, **options)
    return open_views(writer.path)


def found(views: Views) -> list[DesignEffects]:
    return design_effects(views, leaderboard(views), "clip_score")


GRID = [one for size in range(4) for one in combinations(("noise", "linear", "top"), size)]


def test_planted_effects_of_a_grid_come_out_with_their_costs(tmp_path: Path) -> None:
    (one,) = found(written(tmp_path, entries(*GRID)))
    assert (one.model, one.baseline) == ("m", "m/vanilla")
    effects = {c.choice: round(c.effect.value, 9) for c in one.together}
    assert effects == {"noise=abs_cos(1)": 3, "schedule=linear": 0, "top_k=50": 0.5}
    alone = {c.choice: round(c.effect.value, 9) for c in one.alone}
    assert alone == {"noise=abs_cos(1)": 1, "schedule=linear": -2, "top_k=50": 0.5}
    assert {c.choice: c.row_evaluations for c in one.together} == pytest.approx(
        {"noise=abs_cos(1)": 1, "schedule=linear": 2, "top_k=50": 1}
    )
    assert one.grid and one.grid.shapley
    both = one.grid.interactions["noise=abs_cos(1)", "schedule=linear"]
    assert both.value == pytest.approx(4) and both.prompts == 20
    assert sum(share.value for share in one.grid.shapley.values()) == pytest.approx(3.5)


def test_choices_run_alone_have_effects_and_no_grid(tmp_path: Path) -> None:
    (one,) = found(written(tmp_path, entries((), ("noise",), ("linear",), ("noise", "top"))))
    assert (one.grid, one.together) == (None, ())
    assert [c.choice for c in one.alone] == ["noise=abs_cos(1)", "schedule=linear"]


def test_the_largest_whole_grid_is_taken(tmp_path: Path) -> None:
    sets = [(), ("noise",), ("linear",), ("noise", "linear"), ("top",), ("noise", "linear", "top")]
    (one,) = found(written(tmp_path, entries(*sets)))
    assert [c.choice for c in one.together] == ["noise=abs_cos(1)", "schedule=linear"]


def test_a_control_is_no_choice_and_does_not_take_the_baselines_place(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    values = {"m/control": 9.0, "m/vanilla": 1.0, "m/again": 7.0, "m/noise": 3.0}
    writer.run(
        {"clip_score": {entry: {"x-1": [value]} for entry, value in values.items()}},
        recipes=dict.fromkeys(values, PLAIN) | {"m/noise": f"{PLAIN} noise=abs_cos(1)"},
        copies={"m/control": "m/vanilla"},
        baseline="m/vanilla",
    )
    (one,) = found(open_views(writer.path))
    assert one.baseline == "m/vanilla"
    assert [choice.effect.value for choice in one.alone] == [pytest.approx(2.0)]


def test_only_prompts_that_all_have_count(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    scores = {
        "m/vanilla": {"x-1": [1.0], "x-2": [5.0]},
        "m/noise": {"x-1": [3.0], "x-2": [MISSING]},
    }
    recipes = {"m/vanilla": PLAIN, "m/noise": f"{PLAIN} noise=abs_cos(1)"}
    writer.run({"clip_score": scores}, recipes=recipes)
    (one,) = found(open_views(writer.path))
    assert (one.alone[0].effect.value, one.alone[0].effect.prompts) == (pytest.approx(2.0), 1)


def test_a_seed_that_one_lacks_is_no_effect(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    scores = {
        "m/vanilla": {prompt: [1.0, 0.0] for prompt in PROMPTS},
        "m/noise": {prompt: [1.0, MISSING] for prompt in PROMPTS},
    }
    recipes = {"m/vanilla": PLAIN, "m/noise": f"{PLAIN} noise=abs_cos(1)"}
    writer.run({"clip_score": scores}, recipes=recipes)
    (one,) = found(open_views(writer.path))
    effect = one.alone[0].effect
    assert effect.value == 0 and effect.prompts == len(PROMPTS)
    assert effect.interval and effect.interval.low < 0 < effect.interval.high  # they are yes or no


def test_seconds_of_first_batches_are_compared_with_none(tmp_path: Path) -> None:
    batches = {"m/vanilla": [(3.0, False), (1.0, True)], "m/noise": [(3.0, False)]}
    (one,) = found(written(tmp_path, entries((), ("noise",)), batches=batches))
    assert one.alone[0].seconds is None


def test_seconds_are_compared_on_one_device_and_batch_size_only(tmp_path: Path) -> None:
    batches = {"m/vanilla": [(0.5, True)], "m/noise": [(1.0, True)]}
    views = written(tmp_path, entries((), ("noise",), ("top",)), batches=batches)
    noise, top = found(views)[0].alone
    assert noise.seconds == pytest.approx(2) and top.seconds is None


def test_unreadable_recipes_and_lone_entries_have_no_effects(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"clip_score": {"m/vanilla": {"x-1": [1.0]}, "n/lone": {"x-1": [1.0]}}})
    assert found(open_views(writer.path)) == []
    assert (
        pictures_to_buy(open_views(writer.path), leaderboard(open_views(writer.path)), "m") is None
    )


def test_noise_that_recipes_share_is_no_reason_to_buy_seeds(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3)
    shared = {prompt: numbers.normal(0, 1, 2) for prompt in PROMPTS}
    scores = {
        entry: {
            p: (noise + numbers.normal(0, 0.3) + numbers.normal(0, 0.03, 2)).tolist()
            for p, noise in shared.items()
        }
        for entry in ("m/a", "m/b")
    }
    writer = StoreWriter(tmp_path / "store")
    writer.run({"clip_score": scores})
    views = open_views(writer.path)
    one = pictures_to_buy(views, leaderboard(views), "clip_score")
    assert one and one.sentence.endswith("buy prompts.")
    assert one.width_of_twice_the_seeds > 0.95


def test_prompts_are_bought_where_recipes_have_their_quirks(tmp_path: Path) -> None:
    numbers = np.random.default_rng(2)

    def bought(folder: Path, quirk: float) -> str:
        writer = StoreWriter(folder)
        scores = {
            entry: {
                p: (numbers.normal(0, quirk) + numbers.normal(0, 1, 2)).tolist() for p in PROMPTS
            }
            for entry in ("m/a", "m/b")
        }
        writer.run({"clip_score": scores})
        views = open_views(writer.path)
        one = pictures_to_buy(views, leaderboard(views), "clip_score")
        assert one and (one.prompts, one.seeds) == (20, 2)
        assert one.width_of_twice_the_prompts == pytest.approx(0.5**0.5)
        return one.sentence

    assert bought(tmp_path / "quirky", 3.0).endswith("buy prompts.")
    assert "by 29%, twice the seeds by" in bought(tmp_path / "plain", 0.0)
