"""An entry's trace as it is averaged and printed."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from bakeoff.evaluators.statistics import t_interval
from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.trajectory import parting, trajectories, trajectory
from bakeoff.platform.execution.traces import trace_rows
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.store.store import Store
from bakeoff.platform.tables.trajectory_table import render
from bakeoff.samplers.catalog import load_sampler
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.trace import StepRecord
from tests.store_writer import StoreWriter

NAN = float("nan")
STEPS = [
    {"mask_ratio": 0.75, "entropy": 2.0, "divergence": None, "redrawn": 0.0},
    {"mask_ratio": 0.5, "phase": "backtrack"},
    {"mask_ratio": 0.0, "entropy": 1.0, "divergence": 0.5, "redrawn": 0.25},
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    writer = StoreWriter(tmp_path / "store")
    scores = {entry: {f"x-{n}": [1] for n in range(3)} for entry in ("m/a", "m/b")}
    writer.run({"composition": scores}, traces={"m/b": STEPS})
    return writer.path


def test_a_record_becomes_a_row_for_each_image() -> None:
    record = StepRecord(
        step=3,
        phase="forward",
        tokens=torch.tensor([[[7, -1], [5, 6]], [[1, 2], [3, 4]]]),
        masked=torch.tensor([1, 0]),
        entropy=torch.tensor([2.5, 0.5]),
        divergence=torch.tensor([NAN, NAN]),
        redrawn=torch.tensor([0.25, 0.0]),
    )
    first, second = trace_rows([record, record], ["a", "b"])[2:]
    assert (first["sample_id"], first["place"], first["step"]) == ("a", 1, 3)
    assert (first["mask_ratio"], second["mask_ratio"]) == (0.25, 0.0)
    assert (first["entropy"], second["entropy"]) == (2.5, 0.5)
    assert (first["divergence"], first["redrawn"]) == (None, 0.25)
    assert first["tokens"].tolist() == [7, -1, 5, 6]


def test_a_trace_is_the_same_in_any_batch() -> None:
    """With Jacobi decoding the images of a batch need different numbers of passes."""
    sampler = load_sampler("tiny-llamagen")
    recipe = Recipe.from_text("guidance_scale=1.5 jacobi=16")
    prompts, ids = ["a red circle", "two rings", "a blue heart"], ["a", "b", "c"]
    together: list[StepRecord] = []
    made = sampler.generate(prompts, [1, 2, 3], recipe, together.append)
    rows = trace_rows(together, ids)
    assert len(set(made.network_calls.tolist())) > 1
    for place, sample_id in enumerate(ids):
        alone: list[StepRecord] = []
        sampler.generate([prompts[place]], [place + 1], recipe, alone.append)
        own = [row for row in rows if row["sample_id"] == sample_id]
        assert len(own) == made.network_calls[place]
        for row, expected in zip(own, trace_rows(alone, [sample_id]), strict=True):
            assert row.pop("tokens").tolist() == expected.pop("tokens").tolist()
            assert row == expected


def test_points_hold_means_with_their_intervals(store: Path) -> None:
    values = [1.0, 2.0, 4.5]
    rows = [
        {"sample_id": f"m b x-{n} 0", "place": 9, "step": 5, "phase": "forward", "entropy": value}
        for n, value in enumerate(values)
    ]
    Store(store).write("traces", "0", [{**row, "shard_id": "0"} for row in rows])
    entry, (point,) = trajectory(open_views(store), "study")
    assert (entry, point.step, point.phase) == ("m/b", 5, "forward")
    found = point.measures["entropy"]
    assert (found.value, found.prompts, found.samples) == (np.mean(values), 3, 3)
    assert found.interval == pytest.approx(t_interval(values))


def test_what_becomes_known_is_told_place_by_place(store: Path) -> None:
    found = trajectories(open_views(store), "study", ["m/b", "m/a"])
    assert found["m/a"] == []
    points = found["m/b"]
    assert [point.place for point in points] == [0, 1, 2]
    revealed = [point.measures["revealed"].value for point in points]
    assert revealed == pytest.approx([0.25, 0.25, 0.5])


MASK = 9
PATHS = {  # tokens after each step: by the second, one is other than a's; the third is as a's
    "m/a": [[1, MASK, MASK, MASK], [1, 2, MASK, MASK], [1, 2, 3, 4]],
    "m/b": [[1, MASK, MASK, MASK], [1, 5, 3, MASK], [1, 5, 3, 4], [1, 5, 3, 4]],
    "m/c": [[1, MASK, MASK, MASK], [1, 2, MASK, MASK], [1, 2, 3, 4]],
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Views:
    writer = StoreWriter(tmp_path_factory.mktemp("paths") / "store")
    traces = {
        entry: [{"tokens": own, "mask_ratio": own.count(MASK) / 4} for own in states]
        for entry, states in PATHS.items()
    }
    prompts = {f"x-{number}": [1] for number in range(3)}
    scores = {entry: prompts for entry in PATHS} | {"m/untraced": prompts}
    writer.run({"composition": scores}, traces=traces)
    return open_views(writer.path)


def test_two_entries_part_where_their_tokens_first_differ(paths: Views) -> None:
    found = parting(paths, "study", "m/b", "m/a")
    assert (found.pairs, found.parted) == (3, 3)
    assert found.first and (found.first.value, found.first.prompts) == (1, 3)
    values = {
        step: {name: estimate.value for name, estimate in by_name.items()}
        for step, by_name in found.steps.items()
    }
    assert values == {
        0: {"differ": 0, "conflict": 0},
        1: {"differ": 0.5, "conflict": 0.5},  # one token of the two that both know
        2: {"differ": 0.25, "conflict": 0.25},
    }


def test_entries_that_never_part_say_so(paths: Views) -> None:
    found = parting(paths, "study", "m/c", "m/a")
    assert (found.pairs, found.parted, found.first) == (3, 0, None)
    assert parting(paths, "study", "m/untraced", "m/a").pairs == 0


def test_positions_that_an_autoregressive_model_does_not_know_are_no_conflict(
    tmp_path: Path,
) -> None:
    writer = StoreWriter(tmp_path / "store")
    steps = {"m/a": [[7, -1]], "m/b": [[-1, 8]]}
    traces = {
        entry: [{"tokens": own, "mask_ratio": 0.5} for own in states]
        for entry, states in steps.items()
    }
    writer.run({"composition": {entry: {"x-1": [1]} for entry in steps}}, traces=traces)
    found = parting(open_views(writer.path), "study", "m/a", "m/b")
    assert found.steps[0]["differ"].value == 1 and "conflict" not in found.steps[0]


def test_one_prompt_has_no_interval(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {"m/a": {"x-1": [1]}}}, traces={"m/a": STEPS})
    _, points = trajectory(open_views(writer.path), "study")
    assert points[0].measures["entropy"].interval is None


def test_the_table_has_a_line_for_each_change(store: Path) -> None:
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["traces", str(store)])
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if line[:1].isdigit()]
    assert lines == [
        ["0", "forward", "3", "0.750", "0.250", "2.000", "–", "0.000"],
        ["1", "backtrack", "3", "0.500", "0.250", "–", "–", "–"],
        ["2", "forward", "3", "0.000", "0.500", "1.000", "0.500", "0.250"],
    ]
    assert "Study study, trace of m/b" in result.stdout


def test_a_measure_of_fewer_prompts_says_so(store: Path) -> None:
    part = Store(store).parts("traces")[0]
    rows = Store(store).read_part(part, ["sample_id", "place", "step", "phase", "mask_ratio"])
    kept = [
        row | ({"entropy": 2.0} if row["sample_id"] == "m b x-0 0" else {})
        for row in rows.to_pylist()
    ]
    Store(store).write("traces", part.stem.removeprefix("part-"), kept)
    _, points = trajectory(open_views(store), "study", "m/b")
    output = StringIO()
    Console(file=output, width=100).print(render("trace", points))
    assert output.getvalue().count("n 1") == 3
