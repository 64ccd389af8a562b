"""What goes wrong during a run costs what it must and is told; the rest goes on."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bakeoff.platform.cli import app
from bakeoff.platform.execution import deciding, scoring
from bakeoff.platform.execution.deciding import in_order
from bakeoff.platform.execution.run import Work, carry_out, prepare
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.platform.studies.rule import Rule
from bakeoff.platform.studies.study import Study

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


class Picky:
    """A metric that fails at some prompts."""

    def __init__(self, name: str, fails: Callable[[str], bool]) -> None:
        self._metric, self._fails = build_metric(name), fails
        self.info = self._metric.info

    def score(self, images: Any, prompts: Sequence[str], expectations: Any) -> Any:
        if any(map(self._fails, prompts)):
            raise ValueError(f"{self.info.name} is broken")
        return self._metric.score(images, prompts, expectations)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of prompts at which every metric fails."""
    words: list[str] = []

    def build(name: str, device: str) -> Picky:
        return Picky(name, lambda prompt: any(word in prompt for word in words))

    monkeypatch.setattr(scoring, "build_metric", build)
    return words


def failed(study: Study, store: Path, begun: list[Work] | None = None, **options: Any) -> int:
    """Run a study, and return how many of its images failed."""
    work = prepare(study, Store(store), 16, **options)
    steps = [] if begun is None else begun
    return carry_out(work, 1, lambda progress: None, begin=steps.append).failed


BOTH = """
name: both
benchmark: {name: shapes, limit: 1}
metrics: [composition, clip_score]
fail_on_error: 2
models:
  - path: masked
    recipes: {vanilla: steps=2}
"""


def test_an_image_that_two_metrics_fail_at_is_one_that_failed(
    study_of: Callable[[str], Study], tmp_path: Path, fails: list[str], no_ray: None
) -> None:
    study = study_of(BOTH)
    fails.append(study.prompts[0].prompt)
    assert failed(study, tmp_path / "store") == 1
    store = Store(tmp_path / "store")
    assert store.count("failures") == 2
    workers = store.read("workers", ["stage", "images", "failed"]).to_pylist()
    assert {"stage": "score", "images": 5, "failed": 1} in workers


ROUNDS = """
name: rounds
prompts: [ring, heart, circle]
metrics: [clip_score]
models:
  - path: masked
    recipes:
      vanilla: steps=2
      control: {like: vanilla, seed_offset: 1000}
"""


def test_a_run_until_decided_tries_again_once_what_earlier_runs_gave_up(
    study_of: Callable[[str], Study],
    tmp_path: Path,
    fails: list[str],
    no_ray: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deciding, "FIRST_ROUND", 2)
    study, rule, begun = study_of(ROUNDS), Rule(1e-4), list[Work]()
    ordered = [prompt.prompt for prompt in in_order(study.name, study.prompts)]
    fails += [ordered[0], ordered[-1]]  # of the first round, and of the last
    assert failed(study, tmp_path, begun, rule=rule) == 4
    assert [len(step.study.prompts) for step in begun] == [2, 1]
    assert failed(study, tmp_path, rule=rule, retry_failures=True) == 4
    fails.clear()
    assert failed(study, tmp_path, rule=rule, retry_failures=True) == 0
    assert Store(tmp_path).count("scores") == study.images


def score(folder: Path, *options: str) -> Result:
    command = ["score", "--images", str(folder / "in"), "--store", str(folder / "store")]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command, *ON_CPU, *options])


def test_what_a_metric_failed_at_of_finished_pictures_can_be_tried_again(
    tmp_path: Path, fails: list[str], no_ray: None
) -> None:
    (tmp_path / "in").mkdir()
    lines = [{"file_name": f"{n}.png", "prompt": n, "model": "m"} for n in ("ring", "heart")]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "in/metadata.jsonl").write_text(text)
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    picture.save(tmp_path / "in/ring.png")
    fails.append("ring")
    for _ in range(2):
        told = score(tmp_path).stderr
        assert told.startswith("bakeoff: 2 images failed")
        assert told.endswith("; --retry-failures tries them again\n")
    fails.clear()
    told = score(tmp_path, "--retry-failures").stderr
    assert told.startswith("bakeoff: 1 images failed")
    store = Store(tmp_path / "store")
    assert store.count("scores") == store.count("samples") == 1
    assert set(store.read("failures", ["stage"])["stage"].to_pylist()) == {"generate", "clip_score"}
    picture.save(tmp_path / "in/heart.png")
    assert score(tmp_path).exit_code == 0 and store.count("scores") == 2


def test_pictures_that_are_not_there_are_told_to_come(tmp_path: Path, no_ray: None) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/metadata.jsonl").write_text('{"file_name": "a.png", "prompt": "ring"}\n')
    told = score(tmp_path, "--retry-failures").stderr
    assert told.startswith("bakeoff: 1 images failed") and "FileNotFoundError" in told
    assert told.endswith("; when they are mended or there, the same command tries them again\n")


def test_the_failure_that_is_told_is_one_of_the_study(
    checkpoints: Path, tmp_path: Path, fails: list[str], no_ray: None
) -> None:
    fails.append("heart")
    first = run(tmp_path, checkpoints / "masked")
    assert "ValueError: clip_score is broken" in first.stderr
    other = {"sample_id": "0" * 32, "run_id": "z", "stage": "load", "error_type": "OSError"}
    row = {**other, "message": "another study's", "attempt": 1}
    Store(tmp_path / "store").write("failures", "another", [row])
    assert run(tmp_path, checkpoints / "masked").stderr == first.stderr
