"""The command as people meet it: what it prints, what it refuses, and how it ends."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bakeoff.platform.cli import app
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.benchmarks import BENCHMARKS
from bakeoff.platform.studies.metrics import METRICS
from bakeoff.samplers.catalog import MODELS
from bakeoff.samplers.choice_table import CHOICES

STUDY = """
name: small
benchmark: {name: shapes, limit: 1}
metrics: [composition]
models:
  - model: tiny-meissonic
    recipes:
      vanilla: steps=4
      noise: {like: vanilla, noise: abs_cos(1)}
"""
IMAGES = 18  # of the study `trial`


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(one) for one in arguments])


def bakeoff(cwd: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as its own process, in a folder and with an empty configuration."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "BAKEOFF_"))}
    script = "from bakeoff.platform.cli import app; app(prog_name='bakeoff')"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=cwd,
        env={**environment, "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refusal(exit_code: int, stdout: str, stderr: str) -> str:
    """Return the one sentence of a refusal, which is all that is printed."""
    assert (exit_code, stdout) == (2, ""), stderr
    (line,) = stderr.splitlines()
    assert line.startswith("bakeoff: ")
    return line.removeprefix("bakeoff: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("model: tiny-meissonic", "model: tiny-meisonic"), "did you mean 'tiny-meissonic'?"),
        (("noise: abs_cos", "nois: abs_cos"), "did you mean 'noise'?"),
        (("[composition]", "[compositon]"), "did you mean 'composition'?"),
        (("name: shapes", "name: shape"), "did you mean 'shapes'?"),
        (("steps=4", "steps=-4"), "-4"),
        (
            ("noise: {like: vanilla, noise: abs_cos(1)}", "vanilla: steps=5"),
            "'vanilla' comes twice",
        ),
        (("benchmark: {name: shapes, limit: 1}", "prompts: []"), "prompts is empty"),
        ((STUDY, "name: [small"), "line 1: "),
        ((STUDY, "PNG \x00"), "is not YAML"),
        ((STUDY, ""), "must be a mapping"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line_and_writes_nothing(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    assert change[0] in STUDY
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace(*change, 1))
    result = invoke("run", study, "--store", tmp_path / "store")
    sentence = refusal(result.exit_code, result.stdout, result.stderr)
    assert sentence.startswith("study.yaml: ") and told in sentence
    assert list(tmp_path.iterdir()) == [study]


def another_format(store: Path) -> None:
    (store / "format.json").write_text('{"format": "bakeoff-store", "version": 99}')


def no_store(store: Path) -> None:
    (store / "format.json").unlink()


def half_written(store: Path) -> None:
    part = next((store / "samples").iterdir())
    part.write_bytes(part.read_bytes()[:200])


def foreign_part(store: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), store / "samples/part-x.parquet")


def foreign_file(store: Path) -> None:
    (store / "samples/notes.txt").write_text("mine")


@pytest.fixture(scope="module")
def finished(
    checkpoints: Path, study_text: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """An empty folder in which a whole study was run by the command, and what it printed."""
    folder = tmp_path_factory.mktemp("empty")
    study = checkpoints / "cli.yaml"
    study.write_text(study_text)
    return folder, bakeoff(folder, "run", study, "--workers", "2")


@pytest.mark.parametrize("verb", ["run", "leaderboard", "show"])
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (another_format, "has format version 99"),
        (no_store, "is not a Bakeoff store"),
        (half_written, "is damaged or half written"),
        (foreign_part, "is a foreign part"),
        (foreign_file, "is no part of a store"),
    ],
)
def test_a_store_that_cannot_be_trusted_is_refused_and_left_alone(
    finished: tuple[Path, object],
    checkpoints: Path,
    tmp_path: Path,
    verb: str,
    damage: Callable[[Path], None],
    told: str,
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished[0] / "bakeoff-store/trial", store)
    damage(store)
    before = contents(tmp_path)
    arguments = [checkpoints / "cli.yaml", "--store", store] if verb == "run" else [store]
    out = ["--out", tmp_path / "sheet.png"] if verb == "show" else []
    result = invoke(verb, *arguments, *out)
    assert told in refusal(result.exit_code, result.stdout, result.stderr)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "absent.yaml"], "study 'absent.yaml' does not exist"),
        (["run", "embeded"], "did you mean 'embedded'?"),
        (["leaderboard", "absent"], "store absent does not exist"),
        (["show", "absent"], "store absent does not exist"),
        (["dashboard", "absent"], "store absent does not exist"),
        (["traces", "absent"], "store absent does not exist"),
    ],
)
def test_what_is_not_there_is_refused_by_the_real_process(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    result = bakeoff(tmp_path, *arguments)
    assert told in refusal(result.returncode, result.stdout, result.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        ("models", MODELS),
        ("recipes", [choice.example for choice in CHOICES]),
        ("recipes", ["paper section 3.3", "cost +3N−3", "masked, autoregressive models"]),
        ("benchmarks", [*BENCHMARKS, "held_out", "single_object", "prompts: FILE.txt"]),
        ("metrics", METRICS),
        ("--help", ["run", "leaderboard", "show", "traces", "dashboard", "models", "recipes"]),
        ("--help", ["status", "verify", "replay", "compact", "merge"]),
    ],
)
def test_lists_name_everything_that_a_study_may(verb: str, names: list[str]) -> None:
    result = invoke(verb)
    assert result.exit_code == 0 and result.stderr == ""
    assert not [name for name in names if name not in result.stdout]


def test_a_run_in_an_empty_folder_ends_in_a_leaderboard(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, result = finished
    assert (result.returncode, result.stderr) == (0, "")
    assert f"= {IMAGES} images, {IMAGES} to do" in result.stdout
    assert "composition" in result.stdout and "wins %" in result.stdout
    assert "bakeoff show bakeoff-store/trial" in result.stdout
    assert len(Store.open(folder / "bakeoff-store/trial").sample_parts()) == IMAGES
    assert [path.name for path in folder.iterdir()] == ["bakeoff-store"]


def test_a_second_run_has_nothing_to_do(finished: tuple[Path, object], checkpoints: Path) -> None:
    parts = finished[0] / "bakeoff-store/trial/samples"
    before = contents(parts)
    result = bakeoff(finished[0], "run", checkpoints / "cli.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing to do" in result.stdout and "composition" in result.stdout
    assert contents(parts) == before


def test_a_store_is_read_by_the_other_verbs(finished: tuple[Path, object], tmp_path: Path) -> None:
    store, sheet = finished[0] / "bakeoff-store/trial", tmp_path / "sheet.png"
    board = json.loads(invoke("leaderboard", store, "--json").stdout)
    names = ["masked/vanilla", "masked/noise", "autoregressive/vanilla"]
    assert [standing["entry"] for standing in board["standings"]] == names
    result = invoke("show", store, "--out", sheet)
    assert result.exit_code == 0 and str(sheet) in result.stdout.replace("\n", "")
    assert Image.open(sheet).format == "PNG"


def test_a_dry_run_tells_what_the_run_then_makes_and_writes_nothing(
    finished: tuple[Path, object], checkpoints: Path, tmp_path: Path
) -> None:
    store = finished[0] / "bakeoff-store/trial"
    result = invoke("run", checkpoints / "cli.yaml", "--dry-run", "--store", tmp_path / "absent")
    assert result.exit_code == 0 and not list(tmp_path.iterdir())
    parts = sum(len(Store(store).parts(table)) for table in ("samples", "scores", "profiles"))
    for told in (f"{IMAGES} to make, {IMAGES} to score", f"files: at most {parts} ", "not known"):
        assert told in result.stdout
    before = contents(store)
    known = invoke("run", checkpoints / "cli.yaml", "--dry-run", "--store", store)
    assert "0 to make" in known.stdout and contents(store) == before


def test_a_finished_run_stands_as_done_with_the_work_of_each_worker(
    finished: tuple[Path, object],
) -> None:
    (study,) = json.loads(invoke("status", finished[0] / "bakeoff-store/trial", "--json").stdout)
    told = [study[name] for name in ("study", "state", "planned", "scored", "failed")]
    assert told == ["trial", "done", IMAGES, IMAGES, 0]
    for stage in ("sample", "score"):
        own = [worker for worker in study["workers"] if worker["stage"] == stage]
        assert sum(worker["images"] for worker in own) == IMAGES


def test_the_leaderboard_ranks_entries_of_equal_cost(finished: tuple[Path, object]) -> None:
    store = finished[0] / "bakeoff-store/trial"
    groups = json.loads(invoke("leaderboard", store, "--equal", "steps", "--json").stdout)["groups"]
    found = {g["terms"]: {standing["entry"] for standing in g["standings"]} for g in groups}
    assert found == {
        "steps 4": {"masked/vanilla", "masked/noise"},
        "steps 64": {"autoregressive/vanilla"},
    }
    text = " ".join(invoke("leaderboard", store, "--equal", "compute").stdout.split())
    assert "row-evaluations 8: wins against masked/vanilla" in text
    assert "nothing to compare with" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--equal", "step"], "equal 'step' is unknown; did you mean 'steps'?"),
        (["--equal", "steps", "--tasks"], "--tasks cannot combine with --equal"),
    ],
)
def test_a_wrong_comparison_is_refused(
    finished: tuple[Path, object], options: list[str], told: str
) -> None:
    result = invoke("leaderboard", finished[0] / "bakeoff-store/trial", *options)
    assert told in refusal(result.exit_code, result.stdout, result.stderr)


def test_traces_that_are_not_there_are_told(finished: tuple[Path, object]) -> None:
    store = finished[0] / "bakeoff-store/trial"
    for options, told in [
        ([], "study 'trial' has no traces: write 'traces: true' in the study and run it again"),
        (["--entry", "masked/noise"], "entry 'masked/noise' has no traces"),
        (["--entry", "masked/nois"], "did you mean 'masked/noise'?"),
    ]:
        result = invoke("traces", store, *options)
        assert told in refusal(result.exit_code, result.stdout, result.stderr)


def test_positions_beyond_a_model_are_refused_before_it_loads(tmp_path: Path) -> None:
    study, sequences = tmp_path / "study.yaml", "models:\n  - model: tiny-llamagen\n    recipes: "
    head = STUDY[: STUDY.index("models:")]
    study.write_text(head + sequences + "{late: guidance_scale=2 guidance_interval=0..65}\n")
    result = invoke("run", study, "--store", tmp_path / "store")
    sentence = refusal(result.exit_code, result.stdout, result.stderr)
    assert sentence.startswith("tiny-llamagen/late: recipe guidance_interval=0..65 must end at 64")
    assert not (tmp_path / "store").exists()
