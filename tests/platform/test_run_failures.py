"""What goes wrong during a run costs what it must and is told; the rest goes on."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bakeoff.platform.cli import app
from bakeoff.platform.store.store import Store

ON_CPU = ["--device", "cpu", "--workers", "1"]
STUDY = """
name: three-prompts
prompts: [a photo of a ring, a photo of a heart, a photo of a circle]
metrics: [clip_score]
models:
  - path: MODEL
    recipes:
      vanilla: steps=2
"""


def run(folder: Path, model: Path, *options: str, more: str = "") -> Result:
    study = folder / "study.yaml"
    study.write_text(STUDY.replace("MODEL", str(model)) + more)
    command = ["run", str(study), "--store", str(folder / "store"), *ON_CPU, *options]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, command)


@pytest.fixture
def poisoned(checkpoints: Path, tmp_path: Path) -> Path:
    """A checkpoint that cannot read the word heart: its token lies outside the embedding."""
    model = tmp_path / "model"
    shutil.copytree(checkpoints / "masked", model)
    vocabulary = json.loads((model / "tokenizer/vocab.json").read_text())
    vocabulary["heart</w>"] = 100_000
    (model / "tokenizer/vocab.json").write_text(json.dumps(vocabulary))
    return model


def failures(folder: Path) -> list[dict]:
    columns = ["prompt", "stage", "error_type", "attempt", "run_id"]
    return Store.open(folder / "store").read("failures", columns).to_pylist()


def test_a_poisoned_prompt_fails_alone_and_stays_failed_until_asked_for(
    poisoned: Path, tmp_path: Path, ray_here: None
) -> None:
    result = run(tmp_path, poisoned)
    assert result.exit_code == 1
    assert result.stderr.startswith("bakeoff: 1 images failed")
    assert result.stderr.endswith("; --retry-failures tries them again\n")
    store = Store.open(tmp_path / "store")
    made = store.read("samples", ["prompt"])["prompt"].to_pylist()
    assert sorted(made) == ["a photo of a circle", "a photo of a ring"]
    assert store.count("scores") == 2
    (failure,) = failures(tmp_path)
    first = failure.pop("run_id")
    assert failure == {
        "prompt": "a photo of a heart",
        "stage": "generate",
        "error_type": "IndexError",
        "attempt": 3,
    }
    again = run(tmp_path, poisoned)
    assert (again.exit_code, again.stderr) == (1, result.stderr)
    assert "1 failed for good, all others there: nothing to do" in again.stdout
    assert [row["run_id"] for row in failures(tmp_path)] == [first]
    assert "3 images, 1 to do" in run(tmp_path, poisoned, "--retry-failures").stdout
    assert len({row["run_id"] for row in failures(tmp_path)} - {first}) == 1


def test_a_run_with_more_failures_than_its_study_allows_stops(
    poisoned: Path, tmp_path: Path, no_ray: None
) -> None:
    result = run(tmp_path, poisoned, "--batch-size", "1", more="fail_on_error: 0.3\n")
    assert result.exit_code == 1
    assert result.stderr.startswith("bakeoff: stopped, 1 of its images failed")
    (failure,) = failures(tmp_path)
    assert failure["prompt"] == "a photo of a heart"
    # What is finished stays, and the rest is done once the study puts up with the failure.
    result = run(tmp_path, poisoned, more="fail_on_error: 2\n")
    assert result.stderr.startswith("bakeoff: 1 images failed")
    made = Store.open(tmp_path / "store").read("samples", ["prompt"])["prompt"].to_pylist()
    assert sorted(made) == ["a photo of a circle", "a photo of a ring"]


def test_a_store_that_cannot_be_written_stops_the_run_with_one_line(
    checkpoints: Path, tmp_path: Path, ray_here: None
) -> None:
    store = tmp_path / "store"
    Store(store).create()
    (store / "samples").symlink_to(tmp_path / "a/disk/that/is/gone")
    result = run(tmp_path, checkpoints / "masked")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("bakeoff: stopped, FileExistsError")
    assert line.endswith("Run the same command to go on from here.")


def test_a_run_overtaken_by_another_adds_nothing(checkpoints: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.create()
    first, second = store.claimed("first"), store.claimed("second")
    row = {"sample_id": "a", "metric": "m", "metric_version": "1", "value": 1.0}
    second.write("scores", "x", [row])
    with pytest.raises(ValueError, match="claimed by a later run, second"):
        first.write("scores", "y", [row])
    assert [part.name for part in store.parts("scores")] == ["part-x.parquet"]
    assert not list(store.path.rglob("*unfinished*"))


def test_the_store_may_be_named_from_any_folder(
    checkpoints: Path, tmp_path: Path, ray_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers of a cluster stand elsewhere than the driver."""
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace("MODEL", str(checkpoints / "masked")))
    command = ["run", str(study), "--store", "relative", "--limit", "1", *ON_CPU]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    store = Store.open(tmp_path / "relative")
    assert store.read("samples", ["prompt"])["prompt"].to_pylist() == ["a photo of a ring"]
