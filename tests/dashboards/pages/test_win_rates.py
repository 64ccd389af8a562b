"""The page of win rates, without a browser."""

from pathlib import Path

import pytest

from tests.dashboards.visits import Visit, charts, rows, unfold, visitor


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("win-rates", monkeypatch)


def test_the_heat_map_shows_every_pair_with_its_n(store: Path, visit: Visit) -> None:
    page = visit(store)
    (heat_map,) = charts(page)
    cells = {(row["entry"], row["column"]): row for row in rows(heat_map)}
    assert len(cells) == 6 and not page.dataframe
    numbers = unfold(page, "numbers")
    assert set(zip(numbers["entry"], numbers["against"], strict=True)) == set(cells)
    assert cells["m/control", "m/vanilla"]["share"] == 0.5
    assert cells["m/control", "m/vanilla"]["n"] == "n 6"
    assert cells["m/vanilla", "n/vanilla"]["n"] == "n 5"
    assert cells["m/vanilla", "n/vanilla"]["left out"] == 1
