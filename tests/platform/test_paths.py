"""Official files of every family, run as people run them: by `path:` alone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.store.store import Store
from tests.samplers.llamagen_folders import write_official
from tests.samplers.maskgit_folders import CLASSES, FORMS, write_folder

PROMPTS = ["tench", "goldfish"]  # classes of ImageNet, which LlamaGen's files draw
NAMES = [*PROMPTS, *(f"class {number}" for number in range(2, CLASSES))]
MEISSONIC = Path(__file__).parents[1] / "golden/meissonic"
PATHS = {  # by folder, with a recipe of its own
    **{f"maskgit-{form}": "steps=2" for form in FORMS},
    "llamagen-c2i": "guidance_scale=2",
    "llamagen-t2i": "top_k=5",
    **{f"{MEISSONIC}/{folder}": "steps=2" for folder in ("ckpt_plain", "ckpt_compressed")},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("families")
    for form in FORMS:
        write_folder(root / f"maskgit-{form}", form, classes=NAMES)
    for kind in ("c2i", "t2i"):
        write_official(root / f"llamagen-{kind}", kind)
    models = [{"path": path, "recipes": {"own": recipe}} for path, recipe in PATHS.items()]
    text = {"name": "families", "prompts": PROMPTS, "metrics": ["clip_score"], "models": models}
    (root / "study.yaml").write_text(json.dumps(text))
    return root / "study.yaml"


def test_official_files_of_every_family_run_by_their_path(study: Path, ray_here: None) -> None:
    place = study.parent / "store"
    arguments = ["run", str(study), "--store", str(place), "--workers", "1"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    rows = Store.open(place).read("samples", ["model", "pixel_hash", "tokens"]).to_pylist()
    assert {row["model"] for row in rows} == {Path(path).name for path in PATHS}
    assert len(rows) == len(PROMPTS) * len(PATHS)
    assert all(len(row["tokens"]) for row in rows)
    assert Store.open(place).count("failures") == 0
