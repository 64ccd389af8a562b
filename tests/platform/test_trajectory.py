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
from bakeoff.platform.store import Store
from bakeoff.platform.traces import trace_rows
from bakeoff.platform.trajectory import trajectory
from bakeoff.platform.trajectory_table import render
from bakeoff.platform.views import open_views
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
        ["0", "forward", "3", "0.750", "2.000", "–", "0.000"],
        ["1", "backtrack", "3", "0.500", "–", "–", "–"],
        ["2", "forward", "3", "0.000", "1.000", "0.500", "0.250"],
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
