from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.samplers.orders import Ranking, halton_cells, halton_places
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.streams import Streams


@pytest.mark.golden_files("maskgit/halton")
def test_order_is_that_of_halton_maskgit(golden_file: Any) -> None:
    orders = golden_file.part("order")
    assert len(orders) == 4
    for side, cells in orders.items():
        assert torch.tensor(list(halton_cells(int(side), int(side)))).equal(cells.long())


@given(height=st.integers(1, 20), width=st.integers(1, 20))
def test_order_visits_each_cell_of_any_picture_once(height: int, width: int) -> None:
    cells = list(halton_cells(height, width))
    assert sorted(cells) == [(row, column) for row in range(height) for column in range(width)]


def test_large_pictures_are_visited_whole() -> None:
    assert len(list(halton_cells(64, 64))) == 4096  # more cells than 10,000 points reach


def test_rolling_begins_elsewhere_in_the_same_order() -> None:
    start, seeds = torch.zeros(3, 6, 4), [1, 2, 3]
    still = halton_places(start, Streams(seeds), roll=False)
    rolled = halton_places(start, Streams(seeds), roll=True)
    offsets = (rolled - still) % 24
    assert (offsets == offsets[:, :1]).all() and len(set(offsets[:, 0].tolist())) == 3
    assert rolled.sort(dim=1).values.equal(torch.arange(24.0).expand(3, -1))
    alone = halton_places(start[1:2], Streams(seeds[1:2]), roll=True)
    assert alone.equal(rolled[1:2])


@pytest.mark.parametrize(
    "text", ["order=halton", "order=random", "", "momentum=1", "momentum=1 order=halton"]
)
def test_known_tokens_stay_before_all_others(text: str) -> None:
    recipe, start = Recipe.from_text(text), torch.zeros(2, 4, 4)
    confidence = torch.rand(2, 16).log()
    confidence[:, 3:9] = torch.inf
    score = Ranking(recipe, 4, start, Streams([0, 1])).score(confidence, 1, "")
    assert score[:, 3:9].isposinf().all() and score.isfinite().sum() == 20
