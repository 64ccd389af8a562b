"""Pipelines of diffusers as models of a study, by `path:` alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bakeoff.platform.cli import app
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import read_study
from bakeoff.samplers.catalog import weights_hash
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.models import MODELS
from tests.samplers.tiny_pipelines import write_pipelines
from tests.trials import without_ray

STUDY = """
name: baselines
benchmark: {name: shapes, limit: 1}
metrics: [clip_score]
models:
  - path: sdxl
    recipes: {guided: steps=2 guidance_scale=3 negative_prompt="s", plain: steps=2}
  - path: flux-schnell
    recipes: {vanilla: steps=1}
  - path: sd3.5
    recipes: {vanilla: steps=1 guidance_scale=4}
  - path: amused
    recipes: {vanilla: steps=2 guidance_scale=10}
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipelines")
    write_pipelines(root)
    (root / "study.yaml").write_text(STUDY)
    return root


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    """The store of the study, run as people run it."""
    with without_ray():
        done = invoke("run", folder / "study.yaml", "--store", folder / "store")
    assert done.exit_code == 0, done.output
    assert "5 entries × 6 prompts = 30 images, 30 to do" in done.stdout
    return Store.open(folder / "store")


def test_every_pipeline_runs_by_its_path(store: Store) -> None:
    columns = ["model", "recipe", "tokens", "row_evaluations", "network_calls", "exactness"]
    rows = store.read("samples", [*columns, "pixel_hash"]).to_pylist()
    assert len({row["pixel_hash"] for row in rows}) == len(rows) == 30
    costs = {
        (row["model"], row["row_evaluations"], row["network_calls"], len(row["tokens"]))
        for row in rows
    }
    assert costs == {
        ("sdxl", 4, 2, 0),
        ("sdxl", 2, 2, 0),
        ("flux-schnell", 1, 1, 0),
        ("sd3.5", 2, 1, 0),
        ("amused", 4, 2, 64),
    }
    assert {row["exactness"] for row in rows} == {"exact"}
    stages = {row["stage"] for row in store.read("profiles", ["stage"]).to_pylist()}
    assert {"text", "network", "draw", "decode"} <= stages
    assert store.count("scores") == 30 and store.count("failures") == 0


@pytest.mark.parametrize(
    ("model", "told"), [("sdxl", "Same pixels\n"), ("amused", "Same pixels, same tokens (64)\n")]
)
def test_a_sample_is_made_again_alone(store: Store, folder: Path, model: str, told: str) -> None:
    rows = store.read("samples", ["model", "sample_id"]).to_pylist()
    sample = next(row["sample_id"] for row in rows if row["model"] == model)
    again = invoke("replay", store.path, sample, "--model", folder / model)
    assert again.exit_code == 0 and again.stdout.startswith(told), again.output


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        (("verify",), "Sound"),
        (("status",), "30 scored"),
        (("leaderboard", "--equal", "steps"), "steps 2"),
        (("leaderboard", "--equal", "compute"), "row-evaluations 4"),
    ],
)
def test_verbs_read_samples_without_tokens(store: Store, verb: tuple[str, ...], told: str) -> None:
    head, *options = verb
    done = invoke(head, store.path, *options)
    assert done.exit_code == 0 and told in done.stdout, done.output


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("metrics:", "traces: true\nmetrics:"), "traces cannot be stored of sdxl, a diffusion"),
        (("plain: steps=2", "plain: steps=2 noise=sin"), "noise=sin(1) does not apply"),
        (("plain: steps=2", "plain: top_k=3"), "steps is missing: diffusion models need it"),
    ],
)
def test_what_pipelines_cannot_do_is_refused(
    folder: Path, change: tuple[str, str], told: str
) -> None:
    assert change[0] in STUDY
    with pytest.raises(InputError) as error:
        read_study(STUDY.replace(*change), source="study.yaml", folder=folder)
    assert told in str(error.value)


def test_guidance_that_flux_does_not_know_is_refused_before_anything_runs(
    folder: Path, tmp_path: Path
) -> None:
    text = STUDY.replace("vanilla: steps=1}", "vanilla: steps=1 guidance_scale=2}", 1)
    (folder / "guided.yaml").write_text(text)
    refused = invoke("run", folder / "guided.yaml", "--store", tmp_path / "store")
    assert refused.exit_code == 2 and "flux-schnell/vanilla: recipe guidance" in refused.stderr
    assert not (tmp_path / "store").exists()


def test_quantized_models_are_told_the_dtype_that_they_compute_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantized = replace(MODELS["sd3.5-large"], location=folder / "sd3.5")
    monkeypatch.setitem(MODELS.own, "sd3.5-large", quantized)
    with pytest.raises(InputError, match="weights of 4 bits, which compute in bfloat16: give it"):
        weights_hash("sd3.5-large")
    assert weights_hash("sd3.5-large", "bfloat16") != weights_hash(folder / "sd3.5", "bfloat16")
