"""The page of design choices, without a browser."""

from itertools import combinations
from pathlib import Path

import pytest

from tests.dashboards.visits import Visit, charts, html, rows, visitor
from tests.store_writer import StoreWriter

PROMPTS = [f"x-{number}" for number in range(6)]
PLAIN = "steps=16 guidance_scale=2"
TEXTS = {"noise": "noise=abs_cos(1)", "linear": "schedule=linear"}
GAINS = {"noise": 1.0, "linear": -2.0}
SETS = [one for size in range(3) for one in combinations(("noise", "linear"), size)]


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return visitor("design-choices", monkeypatch)


def written(writer: StoreWriter, sets: list[tuple[str, ...]], seeds: int = 1) -> Path:
    """Write entries whose gain is the sum of their choices', and 4 more for both together."""
    scores, recipes, costs = {}, {}, {}
    for chosen in sets:
        entry = f"m/{'-'.join(chosen) or 'vanilla'}"
        gain = sum(GAINS[one] for one in chosen) + 4 * (len(chosen) == 2)
        scores[entry] = {
            prompt: [3.0 * place + gain + 0.1 * seed * (place + 1) for seed in range(seeds)]
            for place, prompt in enumerate(PROMPTS)
        }
        recipes[entry] = " ".join([PLAIN, *(TEXTS[one] for one in chosen)])
        costs[entry] = 64 if "linear" in chosen else 32
    writer.run({"clip_score": scores}, recipes=recipes, costs=costs)
    return writer.path


def test_effects_of_a_grid_stand_beside_their_costs(writer: StoreWriter, visit: Visit) -> None:
    page = visit(written(writer, SETS))
    assert not page.exception and not page.error
    choices, interactions = (element.value for element in page.dataframe[:2])
    by_choice = {row["choice"]: row for _, row in choices.iterrows()}
    noise, linear = by_choice["noise=abs_cos(1)"], by_choice["schedule=linear"]
    # The same on every prompt: of no spread, no interval.
    assert noise["alone"] == "+1.000" and noise["alone: prompts"] == 6
    assert noise["over all"] == noise["Shapley share"] == "+3.000"
    assert linear["Shapley share"].startswith("0.000") or "+0.000" in linear["Shapley share"]
    assert (noise["row evals ×"], linear["row evals ×"]) == (1, 2)
    assert list(interactions["interaction"].str.partition(" ")[0]) == ["+4.000"]
    assert list(interactions["prompts"]) == [6]


def test_effects_and_shares_are_drawn_against_zero(writer: StoreWriter, visit: Visit) -> None:
    alone, shares = (rows(chart) for chart in charts(visit(written(writer, SETS))))
    drawn = {row["name"]: row["value"] for row in alone}
    assert drawn == pytest.approx({"noise=abs_cos(1)": 1, "schedule=linear": -2})
    assert all(row["prompts"] == 6 for row in (*alone, *shares))
    assert sum(row["value"] for row in shares) == pytest.approx(3)


def test_choices_run_alone_have_no_shares(writer: StoreWriter, visit: Visit) -> None:
    page = visit(written(writer, SETS[:3]))
    assert not page.exception and len(charts(page)) == 1
    assert "Shapley share" not in page.dataframe[0].value


def test_several_seeds_say_what_to_buy(writer: StoreWriter, visit: Visit) -> None:
    page = visit(written(writer, SETS, seeds=2))
    assert any("Twice the prompts narrow" in text.value for text in page.text)
    shares = page.dataframe[-1].value
    assert list(shares["prompts"]) == [6] * 4 and list(shares["seeds"]) == [2] * 4
    assert sum(shares["share %"]) == pytest.approx(100, abs=1)


def test_one_seed_says_what_it_takes(writer: StoreWriter, visit: Visit) -> None:
    page = visit(written(writer, SETS))
    assert any("seeds: [0, 1]" in element.value for element in page.info)


def test_a_study_without_choices_says_how_to_make_some(store: Path, visit: Visit) -> None:
    page = visit(store)
    assert not page.exception and "grid" in page.info[0].value


def test_a_study_without_a_metric_of_pictures_says_so(writer: StoreWriter, visit: Visit) -> None:
    writer.run({"kid_tiny_clip": {"m/a": {"x-1": [[1.0, 0.0]]}}})
    page = visit(writer.path)
    assert not page.exception and "single pictures" in page.info[0].value


def test_a_models_name_is_text_and_never_markup(writer: StoreWriter, visit: Visit) -> None:
    names = {"<b>bold": PLAIN, "<b>noise": f"{PLAIN} noise=abs_cos(1)"}
    scores = {f"<i>m/{name}": {"x-1": [1.0], "x-2": [0.5]} for name in names}
    recipes = {f"<i>m/{name}": text for name, text in names.items()}
    writer.run({"clip_score": scores}, recipes=recipes)
    page = visit(writer.path)
    assert "<h2>&lt;i&gt;m</h2>" in html(page) and "<i>m" not in html(page)


def test_an_address_of_nonsense_shows_the_default(writer: StoreWriter, visit: Visit) -> None:
    page = visit(written(writer, SETS), metric="taste")
    assert not page.exception and len(charts(page)) == 2
