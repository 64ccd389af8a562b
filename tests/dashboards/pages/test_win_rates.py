"""The page of win rates, without a browser."""

from pathlib import Path

import pytest

from tests.dashboards.visits import Visit, charts, rows, visitor


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("win-rates", monkeypatch)


def test_the_heat_map_shows_every_pair_with_its_n(store: Path, visit: Visit) -> None:
    (heat_map,) = charts(visit(store))
    cells = {(row["entry"], row["column"]): row for row in rows(heat_map)}
    assert len(cells) == 6
    assert cells["m/control", "m/vanilla"]["share"] == 0.5
    assert cells["m/control", "m/vanilla"]["n"] == "n 6"
    assert cells["m/vanilla", "n/vanilla"]["n"] == "n 5"
    assert cells["m/vanilla", "n/vanilla"]["left out"] == 1
