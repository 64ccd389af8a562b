"""What a run and its profiles say of where they come from."""

import hashlib
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from bakeoff.platform.execution import provenance
from bakeoff.platform.execution.provenance import git_revision, gpu_driver, versions
from bakeoff.platform.execution.run import carry_out, prepare
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.catalog import weights_hash
from bakeoff.samplers.recipe import Recipe
from tests.trials import without_ray

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86  Release Build  (builder)\n"
COMPILER = "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [(CLOSED, "535.104.05"), (OPEN, "570.86"), ("", None), ("something else 1.2\n", None)],
)
def test_the_driver_of_the_gpus_is_read_from_the_kernel(
    tmp_path: Path, text: str, version: str | None
) -> None:
    file = tmp_path / "version"
    file.write_text(text + COMPILER)
    assert gpu_driver(file) == version
    assert gpu_driver(tmp_path / "absent") is None


def git(folder: Path, *arguments: str) -> str:
    person = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    command = ["git", "-C", str(folder), *person, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_revision_is_that_of_the_checkout_the_code_lies_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, installed = tmp_path / "code.py", tmp_path / "environment.py"
    git(tmp_path, "init", "-q")
    code.write_text("one")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "one")
    installed.write_text("in somebody's checkout, but not of it")
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert git_revision() == git(tmp_path, "rev-parse", "HEAD")
    code.write_text("two")
    assert git_revision() == git(tmp_path, "rev-parse", "HEAD") + "-dirty"
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert git_revision() is None


STUDY = """
name: one
prompts: [a red circle]
metrics: [clip_score]
models: [{path: masked, dtype: bfloat16, recipes: {vanilla: steps=2}}]
"""


@pytest.fixture(scope="module")
def run_once(
    study_of: Callable[[str], Study],
    tmp_path_factory: pytest.TempPathFactory,
) -> Store:
    """The store of a run of one image, with a worker's profile."""
    store = Store(tmp_path_factory.mktemp("provenance") / "store")
    with without_ray():
        carry_out(prepare(study_of(STUDY), store, 1), 1, lambda progress: None)
    return store


def test_a_run_names_the_hash_of_every_file_of_its_models(
    run_once: Store, checkpoints: Path
) -> None:
    (run,) = run_once.read("runs", ["files"]).to_pylist()
    encoder = checkpoints / "masked/text_encoder/model.safetensors"
    digest = hashlib.sha256(encoder.read_bytes()).hexdigest()
    assert dict(run["files"])["masked/text_encoder/model.safetensors"] == digest
    assert all(name.startswith("masked/") for name, _ in run["files"])


def test_a_run_tells_its_study_recipes_versions_and_revision(
    run_once: Store, checkpoints: Path
) -> None:
    (run,) = run_once.read("runs", TABLES["runs"].names).to_pylist()
    assert run["study"] == STUDY
    assert run["git_revision"] == git_revision()
    found = dict(run["versions"])
    assert found == dict(versions())
    assert found["torch"] == version("torch") and found["clean-fid"] == version("clean-fid")
    (entry,) = run["entries"]
    assert Recipe.from_text(entry["recipe"]) == Recipe(steps=2)
    assert (entry["dtype"], entry["compiled"]) == ("bfloat16", False)
    assert entry["weights_hash"] == weights_hash(checkpoints / "masked", "bfloat16")
    shared = ["weights_hash", "recipe", "recipe_id", "dtype", "compiled"]
    (sample,) = run_once.read("samples", [*shared, "device", "run_id"]).to_pylist()
    assert {name: sample[name] for name in shared} == {name: entry[name] for name in shared}
    assert (sample["device"], sample["run_id"]) == (run["device"], run["run_id"])


def test_a_profile_tells_stages_device_driver_and_dtype(run_once: Store) -> None:
    columns = ["stage", "device", "driver", "dtype", "compiled", "energy_joules"]
    rows = run_once.read("profiles", columns).to_pylist()
    stages = {row["stage"]: row["dtype"] for row in rows}
    sampler = dict.fromkeys(["text", "network", "draw", "decode", "encode", "write"], "bfloat16")
    assert stages == sampler | {"score": "float32"}
    told = {(row["device"], row["driver"], row["compiled"], row["energy_joules"]) for row in rows}
    assert told == {("cpu", gpu_driver(), False, None)}
